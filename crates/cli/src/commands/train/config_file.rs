//! A configuration file in mlx-lm's format, turned into the options that say the same. The command
//! line is parsed behind them and so wins; ranges, names and defaults are checked in one place.

mod nested;

use super::Args;
use crate::error::{Error, Result};
use metal_candle::files;
use serde_json::{Map, Value};
use std::path::Path;

/// Keys of mlx-lm for what is not built.
const NOT_BUILT: &[&str] = &[
    "report_to",
    "project_name",
    "wandb",
    "hf_dataset",
    "prompt_feature",
    "completion_feature",
    "chat_feature",
    "text_feature",
];

/// Keys of mlx-lm that change nothing here.
const WITHOUT_MEANING: &[&str] = &["clear_cache_threshold", "trust_remote_code"];

/// Keys that hold others.
const NESTED: &[&str] = &["lora_parameters", "lr_schedule", "optimizer_config"];

/// The options that the file stands for.
///
/// # Errors
/// When it cannot be read, or holds a key or value that is not understood.
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = files::read_text(path)?;
    parse(&text).map_err(|reason| Error::input(format!("{}: {reason}", path.display())))
}

type Parsed<T> = std::result::Result<T, String>;

fn parse(text: &str) -> Parsed<Vec<String>> {
    let keys: Option<Map<String, Value>> =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut options = vec![];
    // mlx-lm's schedule has a learning rate of its own, which wins: it must come later.
    let (schedule, others): (Vec<_>, Vec<_>) = keys
        .unwrap_or_default()
        .into_iter()
        .partition(|(key, _)| key == "lr_schedule");
    for (key, value) in others.into_iter().chain(schedule) {
        options.extend(entry(&key, value)?);
    }
    Ok(options)
}

fn entry(key: &str, value: Value) -> Parsed<Vec<String>> {
    match (key, value) {
        (_, Value::Null) => Ok(vec![]),
        // Left out, the option means yes.
        ("train", Value::Bool(train)) => Ok(vec![format!("--train={train}")]),
        ("lora_parameters", Value::Object(fields)) => nested::lora_parameters(fields),
        ("lr_schedule", Value::Object(fields)) => nested::lr_schedule(&fields),
        ("optimizer_config", Value::Object(fields)) => nested::optimizer_config(fields),
        (key, value) if NOT_BUILT.contains(&key) && value != false => {
            Err(format!("{key} is not built; remove it"))
        }
        (key, _) if NOT_BUILT.contains(&key) || WITHOUT_MEANING.contains(&key) => Ok(vec![]),
        (key, value) => plain(key, &value),
    }
}

/// A key that is the name of an option.
fn plain(key: &str, value: &Value) -> Parsed<Vec<String>> {
    let names = option_names();
    let name = key.replace('_', "-");
    if !names.contains(&name) {
        let keys = names.iter().map(|name| name.replace('-', "_"));
        let nested = NESTED.iter().map(|key| key.to_string());
        return Err(unknown(key, keys.chain(nested)));
    }
    option(&name, key, value)
}

fn option(name: &str, key: &str, value: &Value) -> Parsed<Vec<String>> {
    match value {
        Value::Null | Value::Bool(false) => Ok(vec![]),
        Value::Bool(true) => Ok(vec![format!("--{name}")]),
        value => Ok(vec![format!("--{name}={}", scalar(key, value)?)]),
    }
}

/// A value as the command line spells it; a list with commas between.
fn scalar(key: &str, value: &Value) -> Parsed<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(items) => {
            let items: Parsed<Vec<String>> = items.iter().map(|item| scalar(key, item)).collect();
            Ok(items?.join(","))
        }
        _ => Err(format!(
            "{key}: expected a number, a text or a list, got {value}"
        )),
    }
}

/// The long names of the command's options.
fn option_names() -> Vec<String> {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("train"));
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names
        .filter(|name| *name != "config")
        .map(String::from)
        .collect()
}

fn unknown_in(place: &str, key: &str, known: &[&str]) -> String {
    format!(
        "{place}: {}",
        unknown(key, known.iter().map(|key| key.to_string()))
    )
}

/// Names the key, and the known one that it resembles most.
fn unknown(key: &str, known: impl Iterator<Item = String>) -> String {
    let likeness = |other: &String| strsim::normalized_damerau_levenshtein(key, other);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        Some(nearest) => format!("unknown key {key}; the nearest known one is {nearest}"),
        None => format!("unknown key {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_options() {
        let text = "model: Qwen/Qwen3-0.6B\ntrain: true\ntest: false\nlearning_rate: 1e-5\n\
                    num_layers: -1\nresume_adapter_file: null\nbetas: [0.9, 0.95]\n";
        let expected = [
            "--model=Qwen/Qwen3-0.6B",
            "--train=true",
            "--learning-rate=0.00001",
            "--num-layers=-1",
            "--betas=0.9,0.95",
        ];
        assert_eq!(parse(text).unwrap(), expected);
        assert!(parse("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn nested_keys_become_options() {
        let text = "lora_parameters: {rank: 8, scale: 20.0, dropout: 0.0, keys: [self_attn.q_proj, mlp.up_proj]}\n\
                    lr_schedule: {name: cosine_decay, warmup: 10, arguments: [1e-4, 90, 1e-6]}\n\
                    optimizer_config: {adam: {betas: [0.1, 0.2]}, adamw: {weight_decay: 0.1}}\n\
                    learning_rate: 1e-5\n";
        let expected = [
            "--rank=8",
            "--scale=20.0",
            "--dropout=0.0",
            "--targets=self_attn.q_proj,mlp.up_proj",
            "--weight-decay=0.1",
            "--learning-rate=0.00001",
            "--lr-schedule=cosine",
            "--learning-rate=0.0001",
            "--lr-decay-steps=90",
            "--min-lr=1e-6",
            "--warmup-steps=10",
        ];
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let message = |text| parse(text).unwrap_err();
        assert!(
            message("learnin_rate: 1")
                .contains("learnin_rate; the nearest known one is learning_rate")
        );
        assert!(message("lora_parameter: {}").contains("lora_parameters"));
        assert!(
            message("lora_parameters: {rang: 8}").contains("rang; the nearest known one is rank")
        );
        assert!(message("lr_schedule: {name: step_decay}").contains("step_decay"));
        assert!(message("report_to: wandb").contains("report_to is not built"));
        assert!(
            message("optimizer_config: {adamw: {bias_correction: false}}")
                .contains("bias_correction")
        );
        assert!(message("config: other.yaml").contains("config"));
    }
}
