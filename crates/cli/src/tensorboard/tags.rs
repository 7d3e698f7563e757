//! Names of figures in TensorBoard: what stands before the slash is the group that it shows them in.

use metal_candle::train::{PairMetrics, Report, Validation};
use serde_json::Value;

/// Figures of a report.
pub fn of_report(report: &Report) -> Vec<(String, f64)> {
    let own = [
        ("loss", report.train_loss),
        ("learning_rate", report.learning_rate),
        ("grad_norm", report.grad_norm),
        ("tokens_per_sec", report.tokens_per_sec),
        ("trained_tokens", report.trained_tokens as f64),
    ];
    let memory = report
        .peak_memory_bytes
        .map(|bytes| ("peak_memory_gb", bytes as f64 / 1e9));
    let noise = report.gradient_noise_scale;
    let noise = noise.map(|rows| ("gradient_noise_scale", rows));
    named(
        "train",
        own.into_iter().chain(memory).chain(noise),
        report.preference.as_ref(),
    )
}

/// Figures of an evaluation.
pub fn of_validation(validation: &Validation) -> Vec<(String, f64)> {
    let own = [
        ("loss", validation.val_loss),
        ("seconds", validation.seconds),
    ];
    named("valid", own.into_iter(), validation.preference.as_ref())
}

fn named<'a>(
    group: &str,
    own: impl Iterator<Item = (&'a str, f64)>,
    pairs: Option<&PairMetrics>,
) -> Vec<(String, f64)> {
    let own = own.map(|(name, value)| (format!("{group}/{name}"), value));
    let pairs = pairs.and_then(|means| serde_json::to_value(means).ok());
    let pairs = pairs
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let pairs =
        pairs.filter_map(|(name, value)| Some((format!("{group}/{name}"), value.as_f64()?)));
    own.chain(pairs).collect()
}
