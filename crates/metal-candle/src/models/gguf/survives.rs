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
            Ok(format!("{:#?}", config.family))
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
    fields.into()
}

/// Setting from which on the first text differs from the second, with both values: fields are lines, and those that a value
/// consists of are indented below it.
fn differing(ours: &str, read: &str) -> String {
    let lines = || ours.lines().zip(read.lines());
    let n_same = lines().take_while(|(a, b)| a == b).count();
    let (ours, read) = lines().nth(n_same).unwrap_or_default();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let above = lines().take(n_same).map(|(line, _)| line);
    let names = above.filter(|line| indent(line) < indent(ours) && line.contains(": "));
    let value = |line: &str| line.trim().trim_end_matches(',').to_string();
    match ours.contains(": ") {
        true => format!("{}, not {}", value(ours), value(read)),
        false => {
            let name = names.last().and_then(|line| line.split(':').next());
            let name = name.unwrap_or_default().trim();
            format!("{name}: {}, not {}", value(ours), value(read))
        }
    }
}
