use super::fields;
use crate::files;
use crate::lora::{Error, Found, LoraConfig, Method, Targets, shortened};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::path::Path;

/// PEFT's default rank.
const DEFAULT_R: usize = 8;

/// PEFT's default alpha.
const DEFAULT_ALPHA: f64 = 8.0;

/// Content of a configuration file.
pub(super) struct Read {
    pub(super) config: LoraConfig,
    pub(super) base_model: Option<String>,
    /// Whether a head that is the embedding stays it while they are trained.
    pub(super) ties_weights: bool,
    /// Beginnings of tensors without effect.
    pub(super) ignored: Vec<&'static str>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or a list of texts")]
enum Names {
    List(Vec<String>),
    Text(String),
}

impl Names {
    fn into_list(self) -> Vec<String> {
        match self {
            Self::List(names) => names,
            Self::Text(name) => vec![name],
        }
    }

    /// No text but a regular expression excludes.
    fn into_excluded(self) -> Targets {
        match self {
            Self::List(names) => Targets::Names(names),
            Self::Text(text) => Targets::Regex(text),
        }
    }
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
#[serde(
    untagged,
    expecting = "a whole number or a list of whole numbers, none negative"
)]
enum Indices {
    One(usize),
    Many(Vec<usize>),
}

pub(super) fn read(path: &Path) -> Result<Read, Error> {
    let text = files::read_text(path)?;
    let all: Map<String, Value> = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: path.to_path_buf(),
        source,
    })?;
    if !all.contains_key("peft_type") && all.contains_key("fine_tune_type") {
        let folder = path.parent().unwrap_or(path).to_path_buf();
        return Err(Error::NotAnAdapter {
            path: folder,
            found: Found::Mlx,
        });
    }
    fields::check(path, &all)?;
    Fields { path, all: &all }.read()
}

/// The fields of a file, to be read one by one, so that errors name them.
struct Fields<'a> {
    path: &'a Path,
    all: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn read(&self) -> Result<Read, Error> {
        let saved = self.optional::<Names>("modules_to_save")?;
        let modules_to_save = saved.map_or(vec![], Names::into_list);
        let exclude = self
            .optional::<Names>("exclude_modules")?
            .map(Names::into_excluded);
        let method = match self.optional("use_dora")?.unwrap_or(false) {
            true => Method::Dora,
            false => Method::Lora,
        };
        let config = LoraConfig {
            method,
            r: self.required("r", DEFAULT_R)?,
            alpha: self.required("lora_alpha", DEFAULT_ALPHA)?,
            dropout: self.required("lora_dropout", 0.0)?,
            use_rslora: self.required("use_rslora", false)?,
            targets: self.targets(&modules_to_save)?,
            exclude: exclude.filter(|targets| !is_empty(targets)),
            modules_to_save,
            rank_pattern: self.patterns("rank_pattern")?,
            alpha_pattern: self.patterns("alpha_pattern")?,
            layers_to_transform: self.blocks()?,
        };
        Ok(Read {
            config,
            base_model: self.optional("base_model_name_or_path")?,
            ties_weights: self.optional("ensure_weight_tying")?.unwrap_or(false),
            ignored: fields::ignored(self.all),
        })
    }

    /// PEFT adapts no module that it saves whole.
    fn targets(&self, saved_modules: &[String]) -> Result<Targets, Error> {
        let Some(names) = self.optional::<Names>("target_modules")? else {
            // PEFT's default for the model types that exist here.
            return Ok(Targets::Names(vec!["q_proj".into(), "v_proj".into()]));
        };
        let mut targets = Targets::from(names);
        if let Targets::Names(names) = &mut targets {
            names.retain(|name| !saved_modules.contains(name));
        }
        Ok(targets)
    }

    /// An empty list is none.
    fn blocks(&self) -> Result<Option<Vec<usize>>, Error> {
        let blocks = self
            .optional("layers_to_transform")?
            .map(|indices| match indices {
                Indices::One(index) => vec![index],
                Indices::Many(indices) => indices,
            });
        Ok(blocks.filter(|blocks| !blocks.is_empty()))
    }

    /// Patterns and their values, in the order of the file.
    fn patterns<T: DeserializeOwned>(&self, name: &'static str) -> Result<Vec<(String, T)>, Error> {
        let map = self
            .optional::<Map<String, Value>>(name)?
            .unwrap_or_default();
        let entries = map.into_iter().map(|(key, value)| {
            let value = serde_json::from_value(value)
                .map_err(|e| self.wrong(name, format!("{}: {e}", shortened(&key))))?;
            Ok((key, value))
        });
        entries.collect()
    }

    fn required<T: DeserializeOwned>(&self, name: &'static str, default: T) -> Result<T, Error> {
        match self.all.get(name) {
            Some(value) => self.parsed(name, value),
            None => Ok(default),
        }
    }

    /// `null` is absent.
    fn optional<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, Error> {
        match self.all.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.parsed(name, value).map(Some),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, name: &'static str, value: &Value) -> Result<T, Error> {
        T::deserialize(value).map_err(|e| self.wrong(name, e.to_string()))
    }

    fn wrong(&self, field: &'static str, reason: String) -> Error {
        Error::Field {
            path: self.path.to_path_buf(),
            field,
            reason: shortened(&reason),
        }
    }
}

/// PEFT takes an empty list or text for none.
fn is_empty(targets: &Targets) -> bool {
    match targets {
        Targets::Names(names) => names.is_empty(),
        Targets::Regex(pattern) => pattern.is_empty(),
        Targets::AllLinear => false,
    }
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
    let saved = (!config.modules_to_save.is_empty()).then_some(&config.modules_to_save);
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
        "modules_to_save": saved,
        "peft_type": "LORA",
        "r": config.r,
        "rank_pattern": rank_pattern,
        "revision": null,
        "target_modules": names(&config.targets),
        "task_type": "CAUSAL_LM",
        "use_dora": config.method == Method::Dora,
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
