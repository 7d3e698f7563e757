//! `--report-to` and `--project-name`: where figures go beside `metrics.jsonl`.

use crate::mlx::{self, Refusal};
use serde_json::Value;

/// Service that figures are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// None.
    Nothing,
    /// TensorBoard's event files.
    TensorBoard,
}

/// The service of that name.
///
/// # Errors
/// For any other.
pub fn service(name: &str) -> Result<Service, Refusal> {
    mlx::REPORT_TO.check(name)?;
    Ok(match name {
        "tensorboard" => Service::TensorBoard,
        _ => Service::Nothing,
    })
}

/// Services that mlx-lm reports to.
const OF_MLX: [&str; 2] = ["wandb", "swanlab"];

/// The value of a file's `report_to`, a name, several with commas between or a list, without the services of mlx-lm's: these
/// are told and stop no run.
pub fn without_mlx(key: &str, value: Value) -> Value {
    let names: Vec<String> = match &value {
        Value::String(names) => names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
        Value::Array(names) => names
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => vec![],
    };
    let is_of_mlx = |name: &&String| OF_MLX.contains(&name.to_lowercase().as_str());
    let (dropped, left): (Vec<&String>, Vec<&String>) = names.iter().partition(is_of_mlx);
    if dropped.is_empty() {
        return value;
    }
    unreported(key, &value);
    match left.is_empty() {
        true => Value::Null,
        false => left
            .into_iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(",")
            .into(),
    }
}

/// Options for a key that asks for a service in a file of mlx-lm's: none, which is told and stops no run.
pub fn unreported(key: &str, value: &Value) -> Vec<String> {
    tracing::warn!(
        "{key}: {value} reports nothing: no figures are sent to a service; report_to: tensorboard writes files that \
         `wandb sync` takes up, and report.html and metrics.jsonl in adapter_path have every figure"
    );
    vec![]
}

/// Longest name of a run, in bytes.
const NAME_BYTES: usize = 100;

/// A name that a folder may have everywhere.
///
/// # Errors
/// For anything else.
pub fn project_name(text: &str) -> Result<String, String> {
    let is_fit = |c: char| c.is_alphanumeric() || " ._-+=@".contains(c);
    let fits = (1..=NAME_BYTES).contains(&text.len()) && text.chars().all(is_fit);
    let ends = text.starts_with(['.', ' ']) || text.ends_with(['.', ' ']);
    match fits && !ends {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "must be the name of a folder: up to {NAME_BYTES} letters, digits, blanks and . _ - + = @, with no dot or blank at an end"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_are_names_of_folders() {
        for fit in ["a", "run 3", "Qwen3-0.6B_r8", "läufe"] {
            assert_eq!(project_name(fit).as_deref(), Ok(fit));
        }
        let long = "x".repeat(101);
        for wrong in [
            "", ".", "..", "a/b", "a\\b", "c:", "\u{1b}", "a ", "\n", &long,
        ] {
            assert!(project_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
