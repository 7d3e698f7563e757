//! A configuration file in mlx-lm's format, turned into the options that say the same. The command
//! line is parsed behind them and so wins; ranges, names and defaults are checked in one place.

mod hf_dataset;
mod nested;

use super::{Args, services};
use crate::error::{Error, Result};
use crate::mlx::{self, Foreign, Program};
use metal_candle::files;
use serde_json::{Map, Value};
use std::path::Path;

/// Largest file: many times what all keys take.
const MAX_BYTES: u64 = 1 << 20;

/// Keys that hold others.
const NESTED: &[&str] = &["lora_parameters", "lr_schedule", "optimizer_config"];

/// Keys that win over another: a schedule has a learning rate of its own, and `hf_dataset` rows, as in mlx-lm. They come last.
const WINNING: &[&str] = &["lr_schedule", "hf_dataset"];

/// A configuration file.
#[derive(Debug, Default)]
pub struct ConfigFile {
    /// The options that it stands for.
    pub options: Vec<String>,
    /// Whether it is a file of mlx-lm's.
    pub is_mlx: bool,
    /// Option that names the data set of `hf_dataset`.
    data_set: Option<String>,
}

impl ConfigFile {
    /// Tells what the file asks for and gets in another way, in a run of `args`.
    pub fn tell(&self, args: &Args) {
        let data = args
            .data
            .as_ref()
            .map(|data| format!("--data={}", data.display()));
        if self.data_set.is_some() && self.data_set == data {
            hf_dataset::tell();
        }
    }
}

/// Reads a configuration file.
///
/// # Errors
/// When it cannot be read, or holds a key or value that is not understood.
pub fn read(path: &Path) -> Result<ConfigFile> {
    check_size(path)?;
    let text = files::read_text(path)?;
    parse(&text).map_err(|reason| Error::input(format!("{}: {reason}", path.display())))
}

type Parsed<T> = std::result::Result<T, String>;

/// Checks the size before the file is read.
fn check_size(path: &Path) -> Result<()> {
    // A file that is not there is told by who reads it.
    let bytes = path.metadata().map_or(0, |file| file.len());
    match bytes > MAX_BYTES {
        true => Err(Error::input(format!(
            "{}: {bytes} bytes are no configuration file, which has at most {MAX_BYTES}",
            path.display()
        ))),
        false => Ok(()),
    }
}

fn parse(text: &str) -> Parsed<ConfigFile> {
    let document: Option<Value> = serde_saphyr::from_str(text).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix("error: ").unwrap_or(&text).to_string()
    })?;
    let keys = match document {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(keys)) => keys,
        Some(other) => return Err(format!("expected keys and values, got {other}")),
    };
    let mut file = ConfigFile {
        is_mlx: mlx::are_its_keys(&keys),
        ..ConfigFile::default()
    };
    let (winning, others): (Vec<_>, Vec<_>) = keys
        .into_iter()
        .partition(|(key, _)| WINNING.contains(&key.as_str()));
    for (key, value) in others.into_iter().chain(winning) {
        let options = entry(&key, value)?;
        if key == "hf_dataset" {
            file.data_set = options
                .iter()
                .find(|option| option.starts_with("--data="))
                .cloned();
        }
        file.options.extend(options);
    }
    Ok(file)
}

fn entry(key: &str, value: Value) -> Parsed<Vec<String>> {
    match (key, value) {
        ("hf_dataset" | "wandb", Value::Null | Value::Bool(false)) => Ok(vec![]),
        ("hf_dataset", value) => hf_dataset::options(value),
        ("wandb", value) => Ok(services::unreported(key, &value)),
        ("report_to", value) => option("report-to", key, &services::without_mlx(key, value)),
        ("prompt_feature" | "completion_feature" | "chat_feature" | "text_feature", value) => {
            option(&key.replace("_feature", "-key"), key, &value)
        }
        (key, Value::Null) if NESTED.contains(&key) => Ok(vec![]),
        // Left out, the option means yes.
        ("train" | "packing", Value::Bool(is_on)) => Ok(vec![format!("--{key}={is_on}")]),
        ("lora_parameters", Value::Object(fields)) => nested::lora_parameters(fields),
        ("lr_schedule", Value::Object(fields)) => nested::lr_schedule(&fields),
        ("optimizer_config", Value::Object(fields)) => nested::optimizer_config(fields),
        (key, value) if NESTED.contains(&key) => {
            Err(format!("{key}: expected keys and values, got {value}"))
        }
        (key, value) => match foreign(key) {
            Some(foreign) => idle(key, &value, foreign),
            None => plain(key, &value),
        },
    }
}

/// The option of `mlx_lm.lora` that is none of ours and has the key's name.
fn foreign(key: &str) -> Option<&'static Foreign> {
    let mut options = mlx::Lora::FOREIGN.iter();
    options.find(|foreign| foreign.name.replace('-', "_") == key)
}

/// Tells that a key changes nothing, or refuses it.
fn idle(key: &str, value: &Value, foreign: &'static Foreign) -> Parsed<Vec<String>> {
    let asks = !matches!(value, Value::Null | Value::Bool(false)) && *value != 0;
    if asks {
        let checked = foreign.check(&value.to_string());
        checked.map_err(|refusal| format!("{key} {refusal}"))?;
        foreign.tell(key);
    }
    Ok(vec![])
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
        Value::Null => Ok(vec![]),
        Value::Bool(is_on) => switch(name, key, *is_on),
        value => Ok(vec![format!("--{name}={}", scalar(key, value)?)]),
    }
}

/// An option without a value.
fn switch(name: &str, key: &str, is_on: bool) -> Parsed<Vec<String>> {
    let is_switch =
        |arg: &clap::Arg| arg.get_long() == Some(name) && !arg.get_action().takes_values();
    match (command().get_arguments().any(is_switch), is_on) {
        (true, true) => Ok(vec![format!("--{name}")]),
        (true, false) => Ok(vec![]),
        (false, _) => Err(format!("{key}: expected a value, got {is_on}")),
    }
}

/// A value as the command line spells it; a list with commas between.
fn scalar(key: &str, value: &Value) -> Parsed<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(items) => {
            let items: Parsed<Vec<String>> = items.iter().map(|item| item_of(key, item)).collect();
            Ok(items?.join(","))
        }
        other => Err(format!(
            "{key}: expected a number, a text or a list, got {other}"
        )),
    }
}

fn item_of(key: &str, item: &Value) -> Parsed<String> {
    match item {
        Value::String(text) if text.contains(',') => Err(format!(
            "{key}: an item of a list cannot hold a comma, got {item}"
        )),
        Value::String(_) | Value::Number(_) => scalar(key, item),
        other => Err(format!(
            "{key}: expected numbers or texts in the list, got {other}"
        )),
    }
}

fn command() -> clap::Command {
    <Args as clap::Args>::augment_args(clap::Command::new("train"))
}

/// The long names of the command's options.
fn option_names() -> Vec<String> {
    let command = command();
    let names = command.get_arguments().filter_map(clap::Arg::get_long);
    names
        .filter(|name| *name != "config" && foreign(&name.replace('-', "_")).is_none())
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
        assert_eq!(parse(text).unwrap().options, expected);
        assert!(parse("# nothing\n").unwrap().options.is_empty());
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
            "--optimizer-config={\"adam\":{\"betas\":[0.1,0.2]},\"adamw\":{\"weight_decay\":0.1}}",
            "--learning-rate=0.00001",
            "--lr-schedule=cosine",
            "--learning-rate=0.0001",
            "--lr-decay-steps=90",
            "--min-lr=1e-6",
            "--warmup-steps=10",
        ];
        assert_eq!(parse(text).unwrap().options, expected);
    }

    #[test]
    fn adapters_have_keys_that_mlx_lm_has_not() {
        let text = "lora_parameters: {init_lora_weights: pissa, rslora: true}";
        let expected = ["--init-lora-weights=pissa", "--rslora"];
        assert_eq!(parse(text).unwrap().options, expected);
        let expected = ["--init-lora-weights=eva", "--eva-rho=1.5"];
        for text in [
            "lora_parameters: {init_lora_weights: eva, eva_rho: 1.5}",
            "init_lora_weights: eva\neva_rho: 1.5",
        ] {
            assert_eq!(parse(text).unwrap().options, expected);
        }
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
        assert!(message("lr_schedule: {name: polynomial}").contains("polynomial"));
        assert!(message("config: other.yaml").contains("config"));
    }

    #[test]
    fn values_that_mean_nothing_are_refused_with_their_key() {
        let refused = |text: &str, expected: &[&str]| {
            let message = parse(text).unwrap_err();
            for part in expected {
                assert!(message.contains(part), "{text}: {message}");
            }
        };
        refused(
            "lora_parameters: [1, 2]",
            &["lora_parameters: expected keys and values"],
        );
        refused("lora_parameters: 8", &["lora_parameters", "got 8"]);
        refused(
            "lr_schedule: cosine",
            &["lr_schedule: expected keys and values"],
        );
        refused(
            "lr_schedule: {name: cosine_decay, arguments: 1e-4}",
            &["arguments: expected a list"],
        );
        refused(
            "optimizer_config: {adamw: [1]}",
            &["optimizer_config: adamw"],
        );
        refused("iters: {a: 1}", &["iters: expected a number"]);
        refused("betas: [[0.9], 0.999]", &["betas: expected numbers"]);
        refused(
            "learning_rate: true",
            &["learning_rate: expected a value, got true"],
        );
        refused("iters: false", &["iters: expected a value, got false"]);
        refused("- iters\n- 5\n", &["expected keys and values, got ["]);
        refused("just text", &["expected keys and values"]);
        refused("iters: 1\niters: 2\n", &["duplicate", "iters"]);
        refused("iters:\t1\n\tseed: 2\n", &["line 1"]);
    }

    #[test]
    fn numbers_keep_what_they_are() {
        let text = "iters: 340282366920938463463374607431768211455\neps: '1e-8'\nseed: 18446744073709551615\n";
        let options = parse(text).unwrap().options;
        assert_eq!(options[1..], ["--eps=1e-8", "--seed=18446744073709551615"]);
        // JSON has no such numbers: they would be absent keys.
        for wrong in [".nan", ".inf", "-.inf"] {
            let said = parse(&format!("learning_rate: {wrong}")).unwrap_err();
            assert!(
                said.contains("learning_rate") && said.contains(wrong),
                "{said}"
            );
        }
    }

    #[test]
    fn aliases_that_multiply_are_refused_at_once() {
        let mut text = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_string();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("b{level}: &a{level} [{items}]\n");
        }
        let started = std::time::Instant::now();
        assert!(parse(&text).is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&"{a: ".repeat(100_000)).is_err());
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}
