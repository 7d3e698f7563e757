//! Settings of a run, as `run.json` keeps them beside every checkpoint: what a run that goes on is compared
//! with.

use super::args::Args;
use super::trained::Trained;
use crate::terminal::Terminal;
use metal_candle::data::{Dataset, Splits};
use metal_candle::models::OnLoad;
use metal_candle::train::{Output, Resume};
use serde_json::{Map, Value, json};

/// Settings that may differ from part to part of a run without changing what is trained.
const FREE: [&str; 3] = ["iters", "version", "grad_checkpoint"];

/// Everything that decides what is trained, in the names of the options. The adapter's other settings are in
/// `adapter_config.json`.
pub fn settings(args: &Args, splits: &Splits, trained: &Trained) -> Value {
    let (rows, optimizer) = (&args.rows, &args.optimizer);
    let train = splits.train.as_ref();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "model": args.model,
        "load_in_4bit": args.weights.on_load().map(OnLoad::name),
        "data": args.data,
        "train_rows": train.map(|train| train.examples.len()),
        "train_tokens": train.map(Dataset::trained_tokens),
        "fine_tune_type": match &trained.output {
            Output::Adapter { config, .. } => config.method.name(),
            Output::Checkpoint { .. } => "full",
        },
        "seed": args.seed,
        "mask_prompt": rows.mask_prompt,
        "max_seq_length": rows.max_seq_length,
        "batch_size": rows.batch_size,
        "grad_accumulation_steps": rows.grad_accumulation_steps,
        "packing": rows.packing,
        "grad_checkpoint": rows.grad_checkpoint,
        "iters": optimizer.iters,
        "optimizer": "adamw",
        "learning_rate": optimizer.learning_rate,
        "lr_schedule": format!("{:?}", optimizer.lr_schedule).to_lowercase(),
        "warmup_steps": optimizer.warmup_steps,
        "min_lr": optimizer.min_lr,
        "lr_decay_steps": optimizer.lr_decay_steps,
        "weight_decay": optimizer.weight_decay,
        "betas": optimizer.betas,
        "eps": optimizer.eps,
        "max_grad_norm": optimizer.max_grad_norm,
        "dropout": match &trained.output {
            Output::Adapter { config, .. } => Some(config.dropout),
            Output::Checkpoint { .. } => None,
        },
    })
}

/// Tells which settings are others than those of the run that is gone on with.
pub fn tell_differences(resume: Option<&Resume>, settings: &Value, terminal: &Terminal) {
    let before = resume.and_then(|resume| resume.settings.as_ref()?.as_object());
    let (Some(before), Some(now)) = (before, settings.as_object()) else {
        return;
    };
    let differences = differences(before, now);
    if !differences.is_empty() {
        terminal.say(format_args!(
            "warning: other settings than before: {}",
            differences.join(", ")
        ));
    }
}

fn differences(before: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let differing = now.iter().filter_map(|(name, value)| {
        let old = before.get(name)?;
        let is_told = old != value && !FREE.contains(&name.as_str());
        is_told.then(|| format!("{name} {old} -> {value}"))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_that_change_the_run_are_named() {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let before = object(json!({"seed": 0, "iters": 4, "learning_rate": 1e-4}));
        let now = object(json!({"seed": 1, "iters": 8, "learning_rate": 1e-4, "new": true}));
        assert_eq!(differences(&before, &now), ["seed 0 -> 1"]);
    }
}
