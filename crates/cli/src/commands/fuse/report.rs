use super::Args;
use super::loss::Loss;
use crate::error::{Error, Result};
use crate::terminal::Terminal;
use metal_candle::lora::{FusedLayer, Fusion, Summary};
use serde::Serialize;

/// Share of the update that must be left in quantized matrices where nothing else is asked for.
///
/// Measured on SmolLM2-135M in 4 bits by 64 with an adapter of rank 8, made larger step by step: where the numbers of the update are on
/// average (rms) a twentieth, a tenth, a fifth, half of and one step between two numbers of 4 bits, 0.6, 1.7, 34, 94 and 99 % of it
/// are left. The share falls at once, and half is on the way down. Ten steps of training give a thousandth of a step: 0.3 % are left, and
/// 0.03 % in its Q4_1 file, whose loss on six rows is 4.9352, with the adapter 4.8666, and fused 4.9351.
pub(super) const MIN_SURVIVAL: f64 = 0.5;

/// Report on what is left of an adapter in the weights that it was merged into, as `--json` prints it.
#[derive(Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    fusion: Fusion,
    /// Summary of quantized matrices.
    packed: Option<Summary>,
    /// Summary of others.
    dense: Option<Summary>,
    /// Losses of `--data`.
    pub(super) loss: Option<Loss>,
}

impl Report {
    pub(super) fn new(fusion: Fusion) -> Self {
        Self {
            packed: fusion.summary(true),
            dense: fusion.summary(false),
            fusion,
            loss: None,
        }
    }

    /// Refusal of quantized matrices that have kept too little.
    ///
    /// # Errors
    /// When less than `--min-survival` is left, or an adapter changes nothing at all.
    pub(super) fn check(&self, args: &Args, terminal: &Terminal) -> Result<()> {
        let least = args.min_survival;
        if let Some(dense) = self
            .dense
            .as_ref()
            .filter(|dense| dense.median.kept < least)
        {
            tracing::warn!(
                "rounding to the dtype of the weights leaves {} of the update",
                share(dense.median.kept)
            );
        }
        let Some(packed) = self
            .packed
            .as_ref()
            .filter(|packed| least > 0.0 && packed.median.kept < least)
        else {
            return Ok(());
        };
        for layer in self.packed_layers() {
            terminal.say(line(layer));
        }
        let error = Error::input(format!(
            "quantized again, {} of the adapter's update is left in the median of {} layers ({} in {}), less than {}: nothing was written",
            share(packed.median.kept),
            packed.layers,
            share(packed.worst),
            packed.worst_layer,
            share(least)
        ));
        Err(error.with_advice(
            "write an unquantized model (--dequantize, or a folder of a GGUF file), or leave the adapter beside the model \
             (--adapter-path, without fuse); --min-survival 0 writes it all the same",
        ))
    }

    fn packed_layers(&self) -> impl Iterator<Item = &FusedLayer> {
        self.fusion.layers.iter().filter(|layer| layer.packed)
    }

    /// Tells what was written and what is left in it.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(super) fn tell(&self, args: &Args, terminal: &Terminal) -> Result<()> {
        if args.json {
            return terminal.print_json(self);
        }
        for layer in self.packed_layers() {
            terminal.print_line(line(layer))?;
        }
        for (what, summary) in [("quantized", &self.packed), ("other", &self.dense)] {
            if let Some(summary) = summary {
                terminal.print_line(of_summary(what, summary))?;
            }
        }
        if let Some(loss) = self.loss {
            terminal.print_line(format_args!(
                "Loss: {:.4} of the base, {:.4} with the adapter, {:.4} fused",
                loss.base, loss.adapter, loss.fused
            ))?;
        }
        terminal.print_line(format_args!(
            "Saved the fused model in {}",
            args.save_path.display()
        ))
    }
}

/// Line of one layer.
fn line(layer: &FusedLayer) -> String {
    let figures = layer.survival.map_or("no update".into(), |survival| {
        let (kept, error) = (share(survival.kept), share(survival.error));
        format!("{kept} left, error {error}")
    });
    format!("{}  {}: {figures}", layer.path, layer.stored)
}

fn of_summary(what: &str, summary: &Summary) -> String {
    format!(
        "Update left in {} {what} layers: median {}, worst {} ({}); error of rounding, as a share of the update: {}",
        summary.layers,
        share(summary.median.kept),
        share(summary.worst),
        summary.worst_layer,
        share(summary.median.error)
    )
}

fn share(value: f64) -> String {
    format!("{:.2} %", 100.0 * value)
}
