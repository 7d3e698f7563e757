use super::Args;
use crate::error::{Error, Result};
use crate::load_options::LoadOptions;
use crate::loading;
use crate::rows;
use crate::terminal::Terminal;
use metal_candle::LanguageModel;
use metal_candle::data::{Batches, Dataset};
use metal_candle::layout::Arrangement;
use metal_candle::lora::AdapterSet;
use metal_candle::train::evaluate;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// Rows that are computed at once.
const BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// Losses of a file in nats per token.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Loss {
    /// Loss of the base model.
    pub(super) base: f64,
    /// Loss with the adapter beside it.
    pub(super) adapter: f64,
    /// Loss of what was written, read again.
    pub(super) fused: f64,
}

/// Rows, and the losses of a model that is not fused yet.
pub(super) struct Losses {
    dataset: Dataset,
    base: f64,
    adapter: f64,
}

impl Losses {
    /// Losses of the file that was named; `None` if none was.
    ///
    /// # Errors
    /// When it cannot be read, or a loss is no number.
    pub(super) fn before(
        args: &Args,
        loaded: &LanguageModel,
        adapter: &Arc<AdapterSet>,
        terminal: &Terminal,
    ) -> Result<Option<Self>> {
        let Some(path) = args.data.as_deref() else {
            return Ok(None);
        };
        let dataset = dataset(path, args, loaded, terminal)?;
        let loss = |adapter| loss(loaded, adapter, &dataset, path);
        let (base, adapter) = (loss(None)?, loss(Some(adapter.clone()))?);
        Ok(Some(Self {
            dataset,
            base,
            adapter,
        }))
    }

    /// The losses, and that of the model that was written.
    ///
    /// # Errors
    /// When it cannot be read, or its loss is no number.
    pub(super) fn after(&self, args: &Args, terminal: &Terminal) -> Result<Loss> {
        let name = args.save_path.display().to_string();
        let fused = loading::load(
            &name,
            LoadOptions::default(),
            &args.device.open()?,
            terminal,
        )?;
        let path = args.data.as_deref().unwrap_or("--data".as_ref());
        Ok(Loss {
            base: self.base,
            adapter: self.adapter,
            fused: loss(&fused, None, &self.dataset, path)?,
        })
    }
}

fn dataset(
    path: &Path,
    args: &Args,
    loaded: &LanguageModel,
    terminal: &Terminal,
) -> Result<Dataset> {
    let file = rows::OneFile {
        path,
        keys: &args.keys,
        max_seq_length: None,
        mask_prompt: args.mask_prompt,
        takes_pairs: false,
    };
    file.read(loaded, terminal)
}

fn loss(
    loaded: &LanguageModel,
    adapter: Option<Arc<AdapterSet>>,
    dataset: &Dataset,
    path: &Path,
) -> Result<f64> {
    let batches = Batches::sequential(&dataset.examples, BATCH_SIZE).laid_out(Arrangement::Padded);
    let loss = evaluate(&loaded.model.decoder, adapter, batches, &|| false)?.loss();
    dataset.examples.check()?;
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(Error::failed(format!(
            "the loss on {} is not finite: {loss}",
            path.display()
        ))),
    }
}
