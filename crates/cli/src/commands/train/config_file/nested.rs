//! Keys of mlx-lm that hold others.

use super::{Parsed, option, unknown_in};
use serde_json::{Map, Value};

/// The adapter; `scale` is a direct factor.
pub(super) fn lora_parameters(fields: Map<String, Value>) -> Parsed<Vec<String>> {
    let mut options = vec![];
    let has_scale = fields.get("scale").is_some_and(|scale| !scale.is_null());
    for (key, value) in fields {
        if key == "alpha" && has_scale {
            option("alpha", &key, &value)?;
            tracing::warn!(
                "lora_parameters: alpha {value} changes nothing: mlx-lm's factor is scale, whatever the rank"
            );
            continue;
        }
        if key == "alpha" && !value.is_null() {
            tracing::warn!(
                "lora_parameters: mlx-lm refuses alpha without scale; here the factor is alpha / rank"
            );
        }
        let name = match key.as_str() {
            "rank" | "scale" | "dropout" | "alpha" | "rslora" => key.as_str(),
            "init_lora_weights" => "init-lora-weights",
            "eva_rho" => "eva-rho",
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

/// Options of the positional arguments of mlx's functions, by their names.
const SCHEDULES: [(&str, &str, &[&str]); 4] = [
    (
        "cosine_decay",
        "cosine",
        &["learning-rate", "lr-decay-steps", "min-lr"],
    ),
    (
        "linear_schedule",
        "linear",
        &["learning-rate", "min-lr", "lr-decay-steps"],
    ),
    (
        "exponential_decay",
        "exponential",
        &["learning-rate", "lr-decay-rate"],
    ),
    (
        "step_decay",
        "step",
        &["learning-rate", "lr-decay-rate", "lr-step-size"],
    ),
];

/// mlx-lm names a function of mlx and its positional arguments, of which the first is the learning
/// rate.
pub(super) fn lr_schedule(fields: &Map<String, Value>) -> Parsed<Vec<String>> {
    const KEYS: [&str; 4] = ["name", "arguments", "warmup", "warmup_init"];
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(unknown_in("lr_schedule", key, &KEYS));
    }
    let name = fields
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or("nothing");
    let found = SCHEDULES.iter().find(|(function, ..)| *function == name);
    let Some((_, schedule, names)) = found else {
        let known = SCHEDULES.map(|(function, ..)| function).join(", ");
        return Err(format!(
            "lr_schedule: name must be one of {known}, got {name}"
        ));
    };
    let mut options = vec![format!("--lr-schedule={schedule}")];
    for (name, value) in names.iter().zip(arguments(fields, names)?) {
        options.extend(option(name, "lr_schedule: arguments", value)?);
    }
    for (key, name) in [("warmup", "warmup-steps"), ("warmup_init", "warmup-init")] {
        let value = fields.get(key).unwrap_or(&Value::Null);
        options.extend(option(name, &format!("lr_schedule: {key}"), value)?);
    }
    Ok(options)
}

/// The positional arguments of a schedule.
fn arguments<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Parsed<&'a [Value]> {
    match fields.get("arguments") {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(given)) if given.len() <= names.len() => Ok(given),
        Some(other) => Err(format!(
            "lr_schedule: arguments: expected a list of {}, got {other}",
            names.join(", ")
        )),
    }
}

/// Settings by the optimizer's name; those of others are mlx-lm's way to switch between them.
pub(super) fn optimizer_config(fields: Map<String, Value>) -> Parsed<Vec<String>> {
    let is_wrong = |settings: &Value| !settings.is_object() && !settings.is_null();
    match fields.iter().find(|(_, settings)| is_wrong(settings)) {
        None => Ok(vec![format!(
            "--optimizer-config={}",
            Value::Object(fields)
        )]),
        Some((name, other)) => Err(format!(
            "optimizer_config: {name}: expected keys and values, got {other}"
        )),
    }
}
