use super::parameters::Parameters;
use super::types::PeftType;
use crate::lora::format::json::Fields;
use crate::lora::{Error, Eva, Init, LoraConfig, Method, Targets, shortened};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// PEFT's default rank.
const DEFAULT_R: usize = 8;

/// PEFT's default alpha.
const DEFAULT_ALPHA: f64 = 8.0;

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

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a list of token ids, or such lists by the names of layers"
)]
enum Tokens {
    OfEmbedding(Vec<u32>),
    ByLayer(BTreeMap<String, Vec<u32>>),
}

/// Settings that the fields of a file give.
///
/// # Errors
/// When a field is not of its type.
pub(super) fn read(fields: &Fields<'_>) -> Result<LoraConfig, Error> {
    let saved = fields.optional::<Names>("modules_to_save")?;
    let modules_to_save = saved.map_or(vec![], Names::into_list);
    let exclude = fields
        .optional::<Names>("exclude_modules")?
        .map(Names::into_excluded);
    // One that is not known was refused.
    let kind = PeftType::of(fields.all).map_or(Method::Lora, |kind| kind.method);
    let method = match (kind, fields.optional("use_dora")?) {
        (Method::Lora, Some(true)) => Method::Dora,
        (kind, _) => kind,
    };
    Ok(LoraConfig {
        method,
        init: init(fields),
        eva: Eva::default(),
        r: fields.or("r", DEFAULT_R)?,
        alpha: fields.or(PeftType::of_method(kind).alpha, DEFAULT_ALPHA)?,
        dropout: fields.or("lora_dropout", 0.0)?,
        use_rslora: fields.or("use_rslora", false)?,
        targets: targets(fields, &modules_to_save)?,
        exclude: exclude.filter(|targets| !is_empty(targets)),
        modules_to_save,
        trainable_token_indices: tokens(fields)?,
        rank_pattern: patterns(fields, "rank_pattern")?,
        alpha_pattern: patterns(fields, "alpha_pattern")?,
        layers_to_transform: blocks(fields)?,
        ensure_weight_tying: fields.optional("ensure_weight_tying")?.unwrap_or(false),
    })
}

/// Tensors of experts that are adapted, and weights that are.
pub(super) fn parameters(fields: &Fields<'_>) -> Result<Option<Parameters>, Error> {
    const NAME: &str = "target_parameters";
    let names = fields.optional::<Vec<String>>(NAME)?.unwrap_or_default();
    Parameters::new(&names).map_err(|reason| fields.wrong(NAME, reason))
}

/// How the factors began, where that changed the base weight.
fn init(fields: &Fields<'_>) -> Init {
    let name = fields.all.get("init_lora_weights").and_then(Value::as_str);
    let init = name.and_then(Init::of_name);
    init.filter(|init| init.is_of_weight()).unwrap_or_default()
}

/// PEFT adapts no module that it saves whole.
fn targets(fields: &Fields<'_>, saved_modules: &[String]) -> Result<Targets, Error> {
    let Some(names) = fields.optional::<Names>("target_modules")? else {
        if parameters(fields)?.is_some() {
            return Ok(Targets::Names(vec![]));
        }
        // PEFT's default for the model types that exist here.
        return Ok(Targets::Names(vec!["q_proj".into(), "v_proj".into()]));
    };
    let mut targets = Targets::from(names);
    if let Targets::Names(names) = &mut targets {
        names.retain(|name| !saved_modules.contains(name));
    }
    Ok(targets)
}

/// Tokens by the layers that they are trained of: a list alone is for the token embedding, and an empty one is none.
fn tokens(fields: &Fields<'_>) -> Result<Vec<(String, Vec<u32>)>, Error> {
    let tokens = match fields.optional("trainable_token_indices")? {
        None => vec![],
        Some(Tokens::OfEmbedding(ids)) => vec![("embed_tokens".into(), ids)],
        Some(Tokens::ByLayer(map)) => map.into_iter().collect(),
    };
    Ok(tokens
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .collect())
}

/// An empty list is none.
fn blocks(fields: &Fields<'_>) -> Result<Option<Vec<usize>>, Error> {
    let blocks = fields.optional("layers_to_transform")?;
    let blocks = blocks.map(|indices| match indices {
        Indices::One(index) => vec![index],
        Indices::Many(indices) => indices,
    });
    Ok(blocks.filter(|blocks| !blocks.is_empty()))
}

/// Patterns and their values, in the order of the file.
fn patterns<T: DeserializeOwned>(
    fields: &Fields<'_>,
    name: &'static str,
) -> Result<Vec<(String, T)>, Error> {
    let map = fields.optional::<Map<String, Value>>(name)?;
    let entries = map.unwrap_or_default().into_iter().map(|(key, value)| {
        let value = serde_json::from_value(value)
            .map_err(|e| fields.wrong(name, format!("{}: {e}", shortened(&key))))?;
        Ok((key, value))
    });
    entries.collect()
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
    let kind = PeftType::of_method(config.method);
    let mut fields = json!({
        "alpha_pattern": alpha_pattern,
        "auto_mapping": null,
        "base_model_name_or_path": base_model,
        "exclude_modules": config.exclude.as_ref().map(names),
        "inference_mode": true,
        "layers_pattern": null,
        "layers_to_transform": config.layers_to_transform,
        "modules_to_save": saved,
        "peft_type": kind.name,
        "r": config.r,
        "rank_pattern": rank_pattern,
        "revision": null,
        "target_modules": names(&config.targets),
        "task_type": "CAUSAL_LM",
    });
    fields[kind.alpha] = number(config.alpha);
    let own = match config.method.has_lora() {
        true => of_lora(config),
        false => vec![],
    };
    for (name, value) in own {
        fields[name] = value;
    }
    if let Value::Object(fields) = &mut fields {
        fields.sort_keys();
    }
    fields
}

/// Fields that LoRA alone has.
fn of_lora(config: &LoraConfig) -> Vec<(&'static str, Value)> {
    let mut fields = vec![
        ("bias", json!("none")),
        ("fan_in_fan_out", json!(false)),
        ("init_lora_weights", json!(true)),
        ("lora_bias", json!(false)),
        ("lora_dropout", json!(config.dropout)),
        ("use_dora", json!(config.method == Method::Dora)),
        ("use_rslora", json!(config.use_rslora)),
    ];
    // PEFT before 0.15 does not know it.
    if !config.trainable_token_indices.is_empty() {
        let by_layer = config.trainable_token_indices.iter();
        let by_layer: BTreeMap<_, _> = by_layer.map(|(name, ids)| (name, ids)).collect();
        fields.push(("trainable_token_indices", json!(by_layer)));
    }
    // PEFT before 0.18 does not know it.
    if config.ensure_weight_tying {
        fields.push(("ensure_weight_tying", json!(true)));
    }
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
