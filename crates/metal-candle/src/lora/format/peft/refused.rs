//! What a PEFT configuration may ask for that is not built: refused by name, never ignored.

use crate::lora::Error;
use serde_json::{Map, Value};
use std::path::Path;

/// Fields that do not change what the adapter computes when it is loaded, or that are read.
/// `megatron_core` and `qalora_group_size` act only beside fields that are refused.
const UNDERSTOOD: &[&str] = &[
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "exclude_modules",
    "inference_mode",
    "layers_to_transform",
    "lora_alpha",
    "lora_dropout",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "use_rslora",
];

/// Initialisations that leave the base weight as it is.
const PLAIN_INITIALISATIONS: &[&str] = &["gaussian", "orthogonal", "eva"];

/// Refuses every field that is set and not understood.
pub(super) fn check(path: &Path, config: &Map<String, Value>) -> Result<(), Error> {
    let mut fields: Vec<String> = config
        .iter()
        .filter_map(|(field, value)| reason(field, value).map(|why| (field, value, why)))
        .map(|(field, value, why)| format!("{field} = {value} ({why})"))
        .collect();
    let is_set = |field: &str| config.get(field).is_some_and(|value| !is_off(value));
    if is_set("layers_to_transform") && config["target_modules"].is_string() {
        fields.push("layers_to_transform beside target_modules as text (PEFT refuses it)".into());
    }
    match fields.is_empty() {
        true => Ok(()),
        false => Err(Error::Unsupported {
            path: path.to_path_buf(),
            fields,
        }),
    }
}

/// Why a field cannot be honoured; `None` when it can.
fn reason(field: &str, value: &Value) -> Option<&'static str> {
    match field {
        _ if UNDERSTOOD.contains(&field) || is_off(value) => None,
        "peft_type" => (value != "LORA").then_some("only LORA adapters are read"),
        "task_type" => (value != "CAUSAL_LM").then_some("only causal language models"),
        "bias" => (value != "none").then_some("trained biases are not built"),
        "init_lora_weights" => initialisation(value),
        "layers_pattern" => (!is_layers(value)).then_some("blocks are found as 'layers'"),
        "use_dora" => Some("DoRA is not built"),
        "modules_to_save" => Some("fully trained modules are not built"),
        "lora_bias" => Some("a bias on B is not built"),
        "target_parameters" => Some("adapters on fused expert parameters are not built"),
        "layer_replication" => Some("replicated layers are not built"),
        "trainable_token_indices" => Some("trained token embeddings are not built"),
        _ => Some("not known to leave the mathematics of LoRA unchanged"),
    }
}

/// PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA train against a changed base weight: on the original
/// one their adapters are wrong.
fn initialisation(value: &Value) -> Option<&'static str> {
    let plain = match value {
        Value::Bool(_) => true,
        Value::String(name) => PLAIN_INITIALISATIONS.contains(&name.as_str()),
        _ => false,
    };
    (!plain).then_some("this initialisation changes the base weight")
}

fn is_layers(value: &Value) -> bool {
    value == "layers"
        || value
            .as_array()
            .is_some_and(|list| list.iter().all(|v| v == "layers"))
}

/// A field that is absent in effect.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
