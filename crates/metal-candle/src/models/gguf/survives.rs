//! Check that a file says all that a configuration does.

use crate::gguf::GgufFile;
use crate::models::{Config, Error, Model, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// Fields of the rotary embedding, whose spellings differ: it is written from what they mean.
const ROPE: [&str; 6] = [
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rope_local_base_freq",
    "partial_rotary_factor",
    "original_max_position_embeddings",
];

impl Model {
    /// Check that the GGUF file at `path`, which was written of this model, computes what the model does:
    /// llama.cpp takes some settings of a family as given, and a file cannot say otherwise.
    ///
    /// # Errors
    /// When a setting is lost, or the file cannot be read.
    pub fn check_gguf(&self, path: &Path) -> Result<()> {
        let read = super::config(&GgufFile::open(path)?)?;
        let ours = with_rope_of(&self.raw_config, &read);
        let family = |config: Value| -> Result<String> {
            let config = Config::parse(&config, path)?;
            Ok(format!("{:?}", config.family))
        };
        let (ours, read) = (family(ours)?, family(read.into())?);
        match ours == read {
            true => Ok(()),
            false => {
                let reason = "llama.cpp computes models of this type with other settings, which no file can change";
                Err(Error::unsupported(
                    "config.json",
                    differing(&ours, &read),
                    reason,
                ))
            }
        }
    }
}

/// A configuration with the type and the rotary embedding of another one.
fn with_rope_of(config: &Value, other: &Map<String, Value>) -> Value {
    let mut fields = config.as_object().cloned().unwrap_or_default();
    for name in ROPE {
        fields.remove(name);
    }
    let taken = other
        .iter()
        .filter(|(name, _)| *name == "model_type" || ROPE.contains(&name.as_str()));
    fields.extend(taken.map(|(name, value)| (name.clone(), value.clone())));
    leave_out_usual_blocks(&mut fields);
    fields.into()
}

/// Leaves out lists of blocks that say what llama.cpp takes as given, and windows of models that have none then.
fn leave_out_usual_blocks(fields: &mut Map<String, Value>) {
    let model_type = fields.get("model_type").and_then(Value::as_str);
    let every = match model_type {
        Some("gemma2") => 2,
        Some("gemma3_text") => 6,
        _ => 1,
    };
    let kind = |i: usize| match (i + 1) % every {
        0 => Value::from("full_attention"),
        _ => Value::from("sliding_attention"),
    };
    let rotated = |i: usize| Value::from(u8::from(!(i + 1).is_multiple_of(4)));
    if is_list_of(fields.get("layer_types"), kind) {
        fields.remove("layer_types");
        if every == 1 {
            for name in ["sliding_window", "use_sliding_window", "max_window_layers"] {
                fields.remove(name);
            }
        }
    }
    if is_list_of(fields.get("no_rope_layers"), rotated) {
        fields.remove("no_rope_layers");
        fields.remove("no_rope_layer_interval");
    }
}

fn is_list_of(list: Option<&Value>, item: impl Fn(usize) -> Value) -> bool {
    let items = list.and_then(Value::as_array);
    items.is_some_and(|items| items.iter().enumerate().all(|(i, value)| *value == item(i)))
}

/// From where on the first text differs from the second.
fn differing(ours: &str, read: &str) -> String {
    let n_same = ours
        .split(", ")
        .zip(read.split(", "))
        .take_while(|(a, b)| a == b)
        .count();
    let differs = |text: &str| {
        text.split(", ")
            .nth(n_same)
            .unwrap_or("nothing")
            .to_string()
    };
    format!("{}, not {}", differs(ours), differs(read))
}
