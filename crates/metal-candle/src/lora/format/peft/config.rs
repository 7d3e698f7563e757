use super::refused;
use crate::files;
use crate::lora::{Error, LoraConfig, Targets};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The fields that are read; [`refused`] looks at all others.
#[derive(Deserialize)]
struct OnDisk {
    #[serde(default = "default_r")]
    r: usize,
    #[serde(default = "default_alpha")]
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    #[serde(default)]
    use_rslora: bool,
    target_modules: Option<Names>,
    #[serde(default)]
    exclude_modules: Option<Names>,
    #[serde(default)]
    rank_pattern: Option<Map<String, Value>>,
    #[serde(default)]
    alpha_pattern: Option<Map<String, Value>>,
    #[serde(default)]
    layers_to_transform: Option<Indices>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
}

/// PEFT's default rank.
fn default_r() -> usize {
    8
}

/// PEFT's default alpha.
fn default_alpha() -> f64 {
    8.0
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl From<Names> for Targets {
    fn from(names: Names) -> Self {
        match names {
            Names::List(names) => Self::Names(names),
            Names::Text(text) if text == "all-linear" => Self::AllLinear,
            Names::Text(text) => Self::Regex(text),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Indices {
    One(usize),
    Many(Vec<usize>),
}

pub(super) fn read(path: &Path) -> Result<(LoraConfig, Option<String>), Error> {
    let json = |source| Error::Json {
        path: path.to_path_buf(),
        source,
    };
    let text = files::read_text(path)?;
    let all: Map<String, Value> = serde_json::from_str(&text).map_err(json)?;
    refused::check(path, &all)?;
    let file: OnDisk = serde_json::from_value(Value::Object(all)).map_err(json)?;
    let base_model = file.base_model_name_or_path.clone();
    Ok((file.into_config().map_err(json)?, base_model))
}

impl OnDisk {
    fn into_config(self) -> serde_json::Result<LoraConfig> {
        Ok(LoraConfig {
            r: self.r,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            use_rslora: self.use_rslora,
            // PEFT's default for the model types that exist here.
            targets: match self.target_modules {
                Some(names) => names.into(),
                None => Targets::Names(vec!["q_proj".into(), "v_proj".into()]),
            },
            exclude: self.exclude_modules.map(Targets::from),
            rank_pattern: entries(self.rank_pattern)?,
            alpha_pattern: entries(self.alpha_pattern)?,
            layers_to_transform: self.layers_to_transform.map(|indices| match indices {
                Indices::One(index) => vec![index],
                Indices::Many(indices) => indices,
            }),
        })
    }
}

fn entries<T: serde::de::DeserializeOwned>(
    map: Option<Map<String, Value>>,
) -> serde_json::Result<Vec<(String, T)>> {
    let entries = map.unwrap_or_default().into_iter();
    entries
        .map(|(key, value)| Ok((key, serde_json::from_value(value)?)))
        .collect()
}

/// Every field that PEFT writes, keys sorted as PEFT sorts them.
pub(super) fn on_disk(config: &LoraConfig, base_model: &str) -> Value {
    let rank_pattern: Map<_, _> = config
        .rank_pattern
        .iter()
        .map(|(k, v)| (k.clone(), json!(v)))
        .collect();
    let alpha_pattern: Map<_, _> = config
        .alpha_pattern
        .iter()
        .map(|(k, v)| (k.clone(), number(*v)))
        .collect();
    let fields = json!({
        "alpha_pattern": alpha_pattern,
        "auto_mapping": null,
        "base_model_name_or_path": base_model,
        "bias": "none",
        "exclude_modules": config.exclude.as_ref().map(names),
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "layers_pattern": null,
        "layers_to_transform": config.layers_to_transform,
        "lora_alpha": number(config.alpha),
        "lora_bias": false,
        "lora_dropout": config.dropout,
        "modules_to_save": null,
        "peft_type": "LORA",
        "r": config.r,
        "rank_pattern": rank_pattern,
        "revision": null,
        "target_modules": names(&config.targets),
        "task_type": "CAUSAL_LM",
        "use_dora": false,
        "use_rslora": config.use_rslora,
    });
    fields
}

fn names(targets: &Targets) -> Value {
    match targets {
        Targets::Names(names) => json!(names),
        Targets::Regex(pattern) => json!(pattern),
        Targets::AllLinear => json!("all-linear"),
    }
}

/// A whole number as an integer, as PEFT's own files have it.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}
