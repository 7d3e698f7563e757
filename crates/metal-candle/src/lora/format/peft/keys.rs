//! Names of tensors in an adapter file.

use super::{Settings, ties};
use crate::lora::format::names::{self, Copied, Key, Paths, is_multi_modal};
use crate::lora::{Plan, Unexpected};
use std::collections::BTreeMap;

const PREFIX: &str = "base_model.model.";

/// Names in a file with these settings, for a model.
pub(super) struct Names<'a> {
    pub(super) settings: &'a Settings,
    pub(super) paths: &'a Paths,
}

/// Tensors of an adapter, after the path of its layer and `.lora_`: the beginning of their names in
/// files, and their names as parameters.
const FACTORS: [(&str, &str); 5] = [
    ("A", "A.weight"),
    ("B", "B.weight"),
    ("magnitude_vector", "magnitude_vector"),
    ("embedding_A", "embedding_A"),
    ("embedding_B", "embedding_B"),
];

/// Name in a file of a parameter.
pub(super) fn on_disk(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl names::Names for Names<'_> {
    fn key(&self, key: &str) -> Key {
        let Some(name) = key.strip_prefix(PREFIX) else {
            return Key::Other;
        };
        let Some((path, kind)) = name.split_once(".lora_") else {
            return Key::Base(base_name(name));
        };
        if self
            .settings
            .ignored
            .iter()
            .any(|ignored| kind.starts_with(ignored))
        {
            return Key::Ignored;
        }
        match factor(kind) {
            Some(name) => Key::Factor(format!("{path}.lora_{name}")),
            None => Key::Other,
        }
    }

    fn on_disk(&self, name: &str) -> String {
        on_disk(name)
    }

    fn is_transposed(&self) -> bool {
        false
    }

    fn copied(&self, plan: &Plan) -> BTreeMap<String, Copied> {
        ties::copied(plan)
    }

    fn why(&self, key: &str) -> Unexpected {
        use Unexpected as U;
        let has = |part: &str| key.contains(part);
        if ["_orig_mod.", "_fsdp_wrapped_module."].into_iter().any(has)
            || key.starts_with("module.")
        {
            return U::Wrapped;
        }
        if key.ends_with(".lora_a") || key.ends_with(".lora_b") {
            return U::Mlx;
        }
        let Some(name) = key.strip_prefix(PREFIX) else {
            return U::NoPrefix;
        };
        if is_multi_modal(name) {
            return U::MultiModal;
        }
        match name.split_once(".lora_") {
            Some((path, kind)) => self.why_adapter(path, kind),
            None => U::Unknown,
        }
    }
}

impl Names<'_> {
    fn why_adapter(&self, path: &str, kind: &str) -> Unexpected {
        use Unexpected as U;
        if kind.starts_with("B.") && kind.ends_with("bias") {
            return U::Bias;
        }
        let Some(name) = factor(kind) else {
            return U::Unknown;
        };
        match self.paths.contains(path) {
            true if name == "magnitude_vector" => U::Dora,
            true => U::NotTargeted,
            false if self.paths.contains(&format!("model.{path}")) => U::Headless,
            false => U::NoSuchLayer,
        }
    }
}

/// Name as a parameter of the tensor that a file calls `kind`, perhaps with the name of the adapter,
/// which PEFT has in memory only: `A.weight`, `A.default.weight`, `magnitude_vector.default`.
fn factor(kind: &str) -> Option<&'static str> {
    let (begin, rest) = kind.split_once('.').unwrap_or((kind, ""));
    let (_, name) = FACTORS.into_iter().find(|(known, _)| *known == begin)?;
    let adapter = match rest.strip_suffix("weight") {
        Some("") => "",
        Some(adapter) => adapter.strip_suffix('.')?,
        None if name == begin => rest,
        None => return None,
    };
    (!adapter.contains('.')).then_some(name)
}

/// Name in a checkpoint of a weight that PEFT wraps.
fn base_name(name: &str) -> String {
    name.replace(".base_layer.", ".")
        .replace(".original_module.", ".")
        .replace(".modules_to_save.default.", ".")
        .replace(".modules_to_save.", ".")
}
