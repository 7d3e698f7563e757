//! Keys of mlx-lm that hold others.

use super::yaml::{Fields, Yaml, get};
use super::{Parsed, option, unknown_in};

/// The adapter; `scale` is a direct factor.
pub(super) fn lora_parameters(fields: Fields) -> Parsed<Vec<String>> {
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
pub(super) fn lr_schedule(fields: &Fields) -> Parsed<Vec<String>> {
    const KEYS: [&str; 4] = ["name", "arguments", "warmup", "warmup_init"];
    if let Some(key) = fields
        .iter()
        .map(|(key, _)| key)
        .find(|key| !KEYS.contains(&key.as_str()))
    {
        return Err(unknown_in("lr_schedule", key, &KEYS));
    }
    if get(fields, "warmup_init").is_some_and(|init| !is_zero(init)) {
        tracing::warn!("lr_schedule: warmup_init is not built, the warm-up begins near 0");
    }
    let (schedule, arguments) = match get(fields, "name").and_then(text) {
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
    let given: &[Yaml] = match get(fields, "arguments") {
        None | Some(Yaml::Null) => &[],
        Some(Yaml::List(given)) if given.len() <= arguments.len() => given,
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
    let warmup = get(fields, "warmup").unwrap_or(&Yaml::Null);
    options.extend(option("warmup-steps", "lr_schedule: warmup", warmup)?);
    Ok(options)
}

/// Settings by the optimizer's name; those of others are mlx-lm's way to switch between them.
pub(super) fn optimizer_config(fields: Fields) -> Parsed<Vec<String>> {
    let settings = match get(&fields, "adamw") {
        None | Some(Yaml::Null) => return Ok(vec![]),
        Some(Yaml::Map(settings)) => settings,
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
            ("bias_correction", Yaml::Bool(true)) => {}
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

fn text(value: &Yaml) -> Option<&str> {
    match value {
        Yaml::Text(text) => Some(text),
        _ => None,
    }
}

fn is_zero(value: &Yaml) -> bool {
    matches!(value, Yaml::Number(number) if number.parse() == Ok(0.0))
}
