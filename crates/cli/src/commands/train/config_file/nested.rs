//! Keys of mlx-lm that hold others.

use super::{Parsed, option, unknown_in};
use serde_json::{Map, Value};

/// The adapter; `scale` is a direct factor.
pub(super) fn lora_parameters(fields: Map<String, Value>) -> Parsed<Vec<String>> {
    let mut options = vec![];
    for (key, value) in fields {
        let name = match key.as_str() {
            "rank" | "scale" | "dropout" | "alpha" | "rslora" => key.as_str(),
            "keys" => "targets",
            _ => {
                return Err(unknown_in(
                    "lora_parameters",
                    &key,
                    &["rank", "scale", "dropout", "keys"],
                ));
            }
        };
        options.extend(option(name, &key, &value)?);
    }
    Ok(options)
}

/// mlx-lm names a function of mlx and its positional arguments, of which the first is the learning
/// rate.
pub(super) fn lr_schedule(fields: &Map<String, Value>) -> Parsed<Vec<String>> {
    const KEYS: [&str; 4] = ["name", "arguments", "warmup", "warmup_init"];
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(unknown_in("lr_schedule", key, &KEYS));
    }
    if fields
        .get("warmup_init")
        .is_some_and(|init| init.as_f64() != Some(0.0))
    {
        tracing::warn!("lr_schedule: warmup_init is not built, the warm-up begins near 0");
    }
    let (schedule, arguments) = match fields.get("name").and_then(Value::as_str) {
        Some("cosine_decay") => ("cosine", ["learning-rate", "lr-decay-steps", "min-lr"]),
        Some("linear_schedule") => ("linear", ["learning-rate", "min-lr", "lr-decay-steps"]),
        other => {
            let name = other.unwrap_or("nothing");
            return Err(format!(
                "lr_schedule: name must be cosine_decay or linear_schedule, got {name}"
            ));
        }
    };
    let mut options = vec![format!("--lr-schedule={schedule}")];
    let given: &[Value] = match fields.get("arguments") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(given)) if given.len() <= arguments.len() => given,
        Some(other) => {
            let expected = arguments.join(", ");
            return Err(format!(
                "lr_schedule: arguments: expected a list of {expected}, got {other}"
            ));
        }
    };
    for (name, value) in arguments.iter().zip(given) {
        options.extend(option(name, "lr_schedule: arguments", value)?);
    }
    let warmup = fields.get("warmup").unwrap_or(&Value::Null);
    options.extend(option("warmup-steps", "lr_schedule: warmup", warmup)?);
    Ok(options)
}

/// Settings by the optimizer's name; those of others are mlx-lm's way to switch between them.
pub(super) fn optimizer_config(fields: Map<String, Value>) -> Parsed<Vec<String>> {
    let settings = match fields.get("adamw") {
        None | Some(Value::Null) => return Ok(vec![]),
        Some(Value::Object(settings)) => settings,
        Some(other) => {
            return Err(format!(
                "optimizer_config: adamw: expected keys and values, got {other}"
            ));
        }
    };
    let mut options = vec![];
    for (key, value) in settings {
        match (key.as_str(), value) {
            ("betas" | "eps" | "weight_decay", value) => {
                options.extend(option(&key.replace('_', "-"), key, value)?);
            }
            ("bias_correction", Value::Bool(true)) => {}
            ("bias_correction", _) => {
                return Err("optimizer_config: adamw without bias_correction is not built".into());
            }
            _ => {
                let known = ["betas", "eps", "weight_decay", "bias_correction"];
                return Err(unknown_in("optimizer_config: adamw", key, &known));
            }
        }
    }
    Ok(options)
}
