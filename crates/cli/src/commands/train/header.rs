//! A run as it begins: what is trained, on what, and with what.

use super::Args;
use super::memory::with_kept;
use crate::numbers::gigabytes;
use crate::rows;
use crate::terminal::Terminal;
use candle_core::DType;
use metal_candle::data::Dataset;
use metal_candle::fine_tune::{EvaReport, MemoryPlan, Prepared};
use metal_candle::layout::Arrangement;
use metal_candle::lora::{LoraConfig, Targets};
use metal_candle::models::Model;
use metal_candle_kernels::simd::Level;
use std::collections::BTreeMap;

/// Tells the header.
pub fn tell(prepared: &Prepared, args: &Args, plan: Option<&MemoryPlan>, terminal: &Terminal) {
    for (name, text) in lines(prepared, args, plan) {
        terminal.say(format_args!("{name:<9}{text}"));
    }
}

/// Names and texts of the header.
pub fn lines(
    prepared: &Prepared,
    args: &Args,
    plan: Option<&MemoryPlan>,
) -> Vec<(&'static str, String)> {
    let begun = prepared.eva().map(|report| ("eva", eva(report)));
    let first = [
        ("model", model(prepared.model(), args)),
        ("trained", trained(prepared)),
    ];
    let rest = [
        ("rows", rows(prepared)),
        ("steps", steps(prepared, args)),
        ("device", device(prepared, args) + &activations(prepared)),
        ("memory", memory(prepared, plan)),
        ("folder", args.adapter_path.display().to_string()),
    ];
    first.into_iter().chain(begun).chain(rest).collect()
}

/// Says with `-v` what was decided, and why.
pub fn explain(prepared: &Prepared, args: &Args, plan: Option<&MemoryPlan>) {
    if let Some(plan) = plan {
        explain_memory(plan);
    }
    let widest = Level::available().next();
    if let (Ok(level), Some(widest)) = (Level::chosen(), widest) {
        let why = match level == widest {
            true => "the widest that this processor has".to_string(),
            false => format!("by METAL_CANDLE_SIMD; this processor has {widest}"),
        };
        tracing::info!("vector instructions: {level}, {why}");
    }
    let (arrangement, why) = args.arrangement();
    match arrangement {
        Arrangement::Packed => tracing::info!(
            "the rows of a batch lie behind each other ({why}); --no-packing pads them"
        ),
        Arrangement::Padded => tracing::info!(
            "the rows of a batch are padded to one length ({why}); --packing lays them behind each other"
        ),
    }
    match prepared.first_block() {
        Some(0) | None => {}
        Some(first) => tracing::info!(
            "blocks 0 to {} are computed without a graph: nothing below block {first} is trained",
            first - 1
        ),
    }
    if !args.rows.grad_checkpoint {
        tracing::info!(
            "blocks are kept for backward: --grad-checkpoint computes them again, in less memory"
        );
    }
}

fn model(model: &Model, args: &Args) -> String {
    let decoder = &model.decoder;
    let kinds: Vec<String> = weights(model).into_keys().collect();
    format!(
        "{}: {}, {} blocks, {} parameters in {}",
        args.model.as_deref().unwrap_or_default(),
        model.config.model_type,
        decoder.n_blocks(),
        millions(decoder.n_parameters()),
        kinds.join(" and ")
    )
}

/// Bytes of the matrices by how they are stored.
fn weights(model: &Model) -> BTreeMap<String, usize> {
    let mut bytes: BTreeMap<String, usize> = BTreeMap::new();
    let parts = model.decoder.parts().into_iter();
    for weight in parts.filter_map(|(_, part)| part.matrix()) {
        *bytes.entry(weight.kind()).or_default() += weight.bytes();
    }
    bytes
}

fn trained(prepared: &Prepared) -> String {
    let n = prepared.n_values();
    let share = 100.0 * n as f64 / prepared.model().decoder.n_parameters().max(1) as f64;
    let n = millions(n);
    let Some(config) = prepared.adapter() else {
        return format!("all weights, {n} parameters");
    };
    let LoraConfig { r, targets, .. } = config;
    // Rows of tokens are told apart from layers.
    let n_ends = config.trainable_token_indices.len();
    let (name, layers) = (config.name(), prepared.n_layers().saturating_sub(n_ends));
    let scale = config.scale(config.alpha, *r);
    let tokens = match config.trainable_token_indices.first() {
        Some((_, ids)) => format!(", rows of {}", counted_tokens(ids.len())),
        None => String::new(),
    };
    format!(
        "{name}, rank {r}, scale {scale}, {layers} layers of {}{tokens}: {n} parameters ({share:.2} %)",
        names(targets)
    )
}

/// How the adapter's beginning was found in the rows.
fn eva(report: &EvaReport) -> String {
    let EvaReport {
        progress,
        layers,
        ranks: (min, max),
        secs,
    } = report;
    let batches = match progress.batches {
        1 => "1 batch".into(),
        n => format!("{n} batches"),
    };
    let settled = match progress.layers - progress.settled {
        0 => String::new(),
        moving => format!("; components of {moving} layers still moved"),
    };
    format!("{batches}, {secs:.1} s: ranks {min} to {max} in {layers} layers{settled}")
}

fn counted_tokens(n: usize) -> String {
    match n {
        1 => "1 token".into(),
        n => format!("{n} tokens"),
    }
}

/// The targets, as `--targets` takes them; PEFT writes them in no order.
pub(super) fn names(targets: &Targets) -> String {
    match targets {
        Targets::AllLinear => "all-linear".into(),
        Targets::Regex(pattern) => format!("regex:{pattern}"),
        Targets::Names(names) => {
            let mut names = names.clone();
            names.sort_unstable();
            names.join(",")
        }
    }
}

fn rows(prepared: &Prepared) -> String {
    let splits = prepared.splits();
    let named = [
        ("train", &splits.train),
        ("valid", &splits.valid),
        ("test", &splits.test),
    ];
    let named = named.into_iter();
    let texts = named.filter_map(|(name, set)| Some(format!("{name} {}", counted(set.as_ref()?))));
    let texts = Vec::from_iter(texts).join("; ");
    let shape = splits.train.as_ref().and_then(|train| train.shape.as_ref());
    let shape = shape.map(|shape| format!("{shape}: ")).unwrap_or_default();
    let held = splits.held_out.map(|held| {
        let share = (1e4 * held.share).round() / 100.0;
        format!(
            "; {} held out to watch the loss on ({share} %, --valid-split)",
            held.rows
        )
    });
    shape + &texts + &held.unwrap_or_default()
}

fn counted(set: &Dataset) -> String {
    let (tokens, trained) = (set.n_tokens(), set.trained_tokens());
    let rows = rows::counted(set.examples.len());
    format!("{rows}, {tokens} tokens, {trained} with a loss")
}

fn steps(prepared: &Prepared, args: &Args) -> String {
    let size = args.rows.batch_size.get().min(prepared.n_rows().max(1));
    let times = args.rows.grad_accumulation_steps.get();
    let per_step = size.saturating_mul(times);
    let n_rows = prepared.n_rows();
    let per_step = per_step.min(n_rows.max(1));
    let epochs = args.steps() as f64 * per_step as f64 / n_rows.max(1) as f64;
    let accumulated = match times {
        1 => String::new(),
        times => format!(" x {times}"),
    };
    let steps = args.steps();
    let again = match args.rows.grad_checkpoint {
        true => ", blocks computed again in backward",
        false => "",
    };
    let size = rows::counted(size);
    format!("{steps} of {size}{accumulated}, {epochs:.1} epochs{again}")
}

fn device(prepared: &Prepared, args: &Args) -> String {
    if !prepared.model().decoder.device().is_cpu() {
        return args.device.device.preferring_gpu().to_string();
    }
    let threads = rayon::current_num_threads();
    // A level that the processor lacks is refused before.
    match Level::chosen() {
        Ok(level) => format!("cpu, {threads} threads, kernels for {level}"),
        Err(_) => format!("cpu, {threads} threads"),
    }
}

/// What is computed with, where it is not what a run has by itself.
fn activations(prepared: &Prepared) -> String {
    match prepared.model().decoder.activations() {
        DType::F32 => String::new(),
        dtype => format!("; activations in {}", dtype.as_str()),
    }
}

/// What is there before the first step, and what the steps come to where that is known.
fn memory(prepared: &Prepared, plan: Option<&MemoryPlan>) -> String {
    let Some(plan) = plan else {
        let (weights, n) = (weights(prepared.model()), prepared.n_values());
        let (weights, trained) = (gigabytes(weights.values().sum()), gigabytes(4 * n));
        return format!("{weights} of weights, {trained} of values that are trained");
    };
    let [weights, trained, kept, activations, peak, kept_too] = [
        plan.weights_bytes,
        plan.trained_bytes,
        plan.optimizer_bytes,
        plan.activation_bytes,
        plan.total_bytes(),
        with_kept(plan.total_bytes()),
    ]
    .map(gigabytes);
    format!(
        "{weights} of weights, {trained} that are trained, {kept} of the optimizer's, {activations} of activations; \
         {peak} at the peak of a step, up to {kept_too} with what is kept for reuse"
    )
}

/// Parts of the memory at the peak of a step.
fn explain_memory(plan: &MemoryPlan) {
    let [blocks, gradients, last_good] = [
        plan.activation_bytes,
        plan.gradient_bytes,
        plan.last_good_bytes,
    ]
    .map(gigabytes);
    tracing::info!(
        "memory of a step, by a pass through a few blocks: {blocks} for a micro-batch of {} tokens, {gradients} of \
         gradients, {last_good} for a copy of the last good values; up to a quarter more is kept for \
         reuse",
        plan.places
    );
}

fn millions(n: usize) -> String {
    match n {
        n if n >= 1_000_000_000 => format!("{:.2} B", n as f64 / 1e9),
        n if n >= 100_000 => format!("{:.2} M", n as f64 / 1e6),
        n => n.to_string(),
    }
}
