//! Names of tensors in an adapter file.

use crate::lora::format::layers::kind;
use crate::lora::format::names::{self, Key, Paths, is_multi_modal, split};
use crate::lora::{Kind, Unexpected};

/// Names in a file for a model.
pub(super) struct Names<'a> {
    pub(super) paths: &'a Paths,
}

/// Ends of names in files, those of parameters of linear layers, and those of an embedding.
const FACTORS: [(&str, &str, &str); 3] = [
    ("lora_a", "lora_A.weight", "lora_embedding_A"),
    ("lora_b", "lora_B.weight", "lora_embedding_B"),
    ("m", "lora_magnitude_vector", "lora_magnitude_vector"),
];

/// Name in a file of a parameter.
pub(super) fn on_disk(name: &str) -> String {
    let Some((path, rest)) = split(name) else {
        return name.to_string();
    };
    let mut factors = FACTORS.into_iter();
    let known = factors.find(|(_, linear, embedding)| [*linear, *embedding].contains(&rest));
    known.map_or(name.to_string(), |(end, ..)| format!("{path}.{end}"))
}

/// Name of the parameter that a file calls `key`.
fn parameter(key: &str) -> Option<String> {
    let (path, end) = key.rsplit_once('.')?;
    let (_, linear, embedding) = FACTORS.into_iter().find(|(known, ..)| *known == end)?;
    Some(match kind(path) {
        Kind::Linear => format!("{path}.{linear}"),
        Kind::Embedding => format!("{path}.{embedding}"),
    })
}

impl names::Names for Names<'_> {
    fn key(&self, key: &str) -> Key {
        parameter(key).map_or(Key::Other, Key::Factor)
    }

    fn on_disk(&self, name: &str) -> String {
        on_disk(name)
    }

    fn is_transposed(&self) -> bool {
        true
    }

    fn why(&self, key: &str) -> Unexpected {
        use Unexpected as U;
        if key.contains(".lora_A.") || key.contains(".lora_B.") {
            return U::Peft;
        }
        if is_multi_modal(key) {
            return U::MultiModal;
        }
        match key.rsplit_once('.') {
            Some((path, end)) if parameter(key).is_some() => match self.paths.contains(path) {
                true if end == "m" => U::Dora,
                true => U::NotTargeted,
                false => U::NoSuchLayer,
            },
            _ => U::Unknown,
        }
    }
}
