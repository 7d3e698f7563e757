//! Fields of PEFT's `LoraConfig` (0.21): read, without effect here, or refused by name. What no list
//! knows is refused.

use super::types::{KINDS, PeftType};
use crate::lora::format::json::refusal;
use crate::lora::{Error, Refusal};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Fields that [`super::config`] reads.
pub(super) const READ: &[&str] = &[
    "alpha_pattern",
    "base_model_name_or_path",
    "ensure_weight_tying",
    "exclude_modules",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "modules_to_save",
    "r",
    "rank_pattern",
    "target_modules",
    "target_parameters",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
];

/// Fields that change nothing of what a loaded adapter computes, whatever they hold.
/// `megatron_core` and `qalora_group_size` act beside fields that are refused; `eva_config` is how
/// the factors began.
const INERT: &[&str] = &[
    "auto_mapping",
    "eva_config",
    "inference_mode",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
];

/// Fields without effect here that their author may have meant to have one: told.
const TOLD: &[(&str, &str)] = &[
    (
        "corda_config",
        "acts beside init_lora_weights = corda alone",
    ),
    ("fan_in_fan_out", "has no effect on linear layers"),
    (
        "loftq_config",
        "acts beside init_lora_weights = loftq alone",
    ),
    (
        "lora_ga_config",
        "acts beside init_lora_weights = lora_ga alone",
    ),
    ("monteclora_config", "acts on training in PEFT alone"),
    ("velora_config", "acts on training in PEFT alone"),
];

/// Fields that change the mathematics, where they are set.
const REFUSED: &[(&str, &str)] = &[
    ("alora_invocation_tokens", "activated LoRA is not built"),
    ("arrow_config", "routing among adapters is not built"),
    ("kasa_config", "KaSA is not built"),
    ("layer_replication", "replicated layers are not built"),
    ("lora_bias", "a bias on B is not built"),
    ("megatron_config", "layers of Megatron are not built"),
    ("use_bdlora", "block-diagonal factors are not built"),
    ("use_qalora", "QALoRA is not built"),
];

/// Modules that may be trained whole.
const SAVED: &[&str] = &["lm_head", "embed_tokens", "model.embed_tokens"];

/// Initialisations that leave the base weight as it is. MiCA freezes `B` while it trains.
const PLAIN_INITIALISATIONS: &[&str] = &["gaussian", "orthogonal", "eva", "mica"];

/// Tasks whose adapters compute on a causal language model what they compute for it.
const TASKS: &[&str] = &["CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION"];

/// Refuses every field that is set and not understood, and tells of what has no effect.
pub(super) fn check(path: &Path, config: &Map<String, Value>) -> Result<(), Error> {
    let mut refused: Vec<Refusal> = vec![];
    if !config.contains_key("peft_type") {
        refused.push(refusal("peft_type", &Value::Null, KINDS));
    }
    let kind = PeftType::of(config);
    for (field, value) in config {
        refused.extend(reason(field, value, kind).map(|why| refusal(field, value, why)));
    }
    let is_set = |field: &str| config.get(field).is_some_and(|value| !is_off(value));
    if let (true, Some(text @ Value::String(_))) =
        (is_set("layers_to_transform"), config.get("target_modules"))
    {
        let why = "as a pattern beside layers_to_transform, which PEFT refuses";
        refused.push(refusal("target_modules", text, why));
    }
    if let (true, Some(text @ Value::String(_))) =
        (is_set("target_parameters"), config.get("target_modules"))
    {
        let why = "as a text beside target_parameters is not built";
        refused.push(refusal("target_modules", text, why));
    }
    if !refused.is_empty() {
        let path = path.to_path_buf();
        return Err(Error::Unsupported { path, refused });
    }
    let told = kind.map_or(&[][..], |kind| kind.told);
    let told = told
        .iter()
        .map(|field| (*field, "acts on training in PEFT alone"));
    for (field, effect) in told.chain(TOLD.iter().copied()) {
        if is_set(field) && config.get(field) != Some(&json!(0.0)) {
            tracing::warn!("{}: {field} {effect}", path.display());
        }
    }
    Ok(())
}

/// Why a field of a configuration of this kind cannot be honoured; `None` when it can.
fn reason(field: &str, value: &Value, kind: Option<&PeftType>) -> Option<&'static str> {
    let is_listed = |list: &[&str]| list.contains(&field);
    let is_own =
        |kind: &PeftType| field == kind.alpha || is_listed(kind.inert) || is_listed(kind.told);
    match field {
        "peft_type" => kind.is_none().then_some(KINDS),
        _ if kind.is_some_and(is_own) => None,
        "modules_to_save" if !is_off(value) => (!all_among(value, SAVED))
            .then_some("only the token embedding and the output head are trained whole"),
        _ if is_off(value) || is_listed(READ) || is_listed(INERT) => None,
        _ if TOLD.iter().any(|(told, _)| *told == field) => None,
        "task_type" => (!is_one_of(value, TASKS)).then_some("its trained head is not built"),
        "bias" => (value != "none").then_some("trained biases are not built"),
        "init_lora_weights" => initialisation(value),
        "layers_pattern" => (!all_among(value, &["layers", "model.layers"]))
            .then_some("blocks are found as 'layers'"),
        _ => Some(why_refused(field)),
    }
}

fn why_refused(field: &str) -> &'static str {
    let entry = REFUSED.iter().find(|(refused, _)| *refused == field);
    entry.map_or(
        "not known to leave the mathematics of LoRA unchanged",
        |(_, why)| why,
    )
}

/// PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA train against a changed base weight. What the first two change is found
/// again from the original one.
fn initialisation(value: &Value) -> Option<&'static str> {
    let is_known = value.is_boolean()
        || is_one_of(value, PLAIN_INITIALISATIONS)
        || is_one_of(value, &["pissa", "olora"]);
    let name = value.as_str().unwrap_or_default();
    match name.starts_with("pissa_niter_") {
        true => Some("began at random numbers that the file does not hold"),
        false => (!is_known).then_some("this initialisation changes the base weight"),
    }
}

fn is_one_of(value: &Value, names: &[&str]) -> bool {
    value.as_str().is_some_and(|name| names.contains(&name))
}

/// Whether a name, or every name of a list, is among `names`.
fn all_among(value: &Value, names: &[&str]) -> bool {
    match value {
        Value::Array(list) => list.iter().all(|value| is_one_of(value, names)),
        _ => is_one_of(value, names),
    }
}

/// A field that is absent in effect.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

/// Beginnings of tensors, after `.lora_`, that PEFT saves for fields that act on its training alone.
pub(super) fn ignored(config: &Map<String, Value>) -> Vec<&'static str> {
    let tensors = [
        ("velora_config", "velora_embed"),
        ("monteclora_config", "monteclora_sampler"),
    ];
    let is_set = |field: &str| config.get(field).is_some_and(|value| !is_off(value));
    let set = tensors.into_iter().filter(|(field, _)| is_set(field));
    set.map(|(_, tensor)| tensor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `dataclasses.fields(LoraConfig)` of PEFT 0.21.2.
    const PEFT: [&str; 42] = [
        "task_type",
        "peft_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "r",
        "target_modules",
        "exclude_modules",
        "lora_alpha",
        "lora_dropout",
        "fan_in_fan_out",
        "bias",
        "use_rslora",
        "modules_to_save",
        "init_lora_weights",
        "layers_to_transform",
        "layers_pattern",
        "rank_pattern",
        "alpha_pattern",
        "megatron_config",
        "megatron_core",
        "trainable_token_indices",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "use_dora",
        "velora_config",
        "alora_invocation_tokens",
        "use_qalora",
        "qalora_group_size",
        "monteclora_config",
        "layer_replication",
        "runtime_config",
        "lora_bias",
        "target_parameters",
        "use_bdlora",
        "arrow_config",
        "kasa_config",
        "ensure_weight_tying",
    ];

    fn lora() -> Map<String, Value> {
        [("peft_type".to_string(), json!("LORA"))]
            .into_iter()
            .collect()
    }

    #[test]
    fn every_field_of_peft_is_known() {
        for field in PEFT {
            let why = reason(field, &json!("something"), PeftType::of(&lora()));
            let is_unknown = why.is_some_and(|why| why.starts_with("not known"));
            assert!(!is_unknown, "{field}");
        }
    }

    #[test]
    fn fields_that_are_off_are_fine() {
        for field in PEFT.iter().filter(|field| **field != "peft_type") {
            let why = reason(field, &Value::Null, PeftType::of(&lora()));
            assert_eq!(why, None, "{field}");
        }
    }
}
