//! Names of tensors in an adapter file.

use super::{Settings, ties};
use crate::lora::format::names::{self, Copied, Key, Paths, is_multi_modal};
use crate::lora::methods::parts;
use crate::lora::{Plan, Unexpected};
use std::collections::BTreeMap;

pub(super) const PREFIX: &str = "base_model.model.";

/// Names in a file with these settings, for a model.
pub(super) struct Names<'a> {
    pub(super) settings: &'a Settings,
    pub(super) paths: &'a Paths,
}

/// Name in a file of a parameter.
pub(super) fn on_disk(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl names::Names for Names<'_> {
    fn key(&self, key: &str) -> Key {
        let Some(name) = key.strip_prefix(PREFIX) else {
            return Key::Other;
        };
        if let Some((path, part)) = factor(name) {
            return Key::Factor(format!("{path}.{part}"));
        }
        let Some((_, kind)) = name.split_once(".lora_") else {
            return Key::Base(base_name(name));
        };
        let mut ignored = self.settings.ignored.iter();
        match ignored.any(|ignored| kind.starts_with(ignored)) {
            true => Key::Ignored,
            false => Key::Other,
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
        if name.contains(".lora_B.") && name.ends_with("bias") {
            return U::Bias;
        }
        match factor(name) {
            Some((path, part)) => self.why_adapter(path, part),
            None => U::Unknown,
        }
    }
}

impl Names<'_> {
    fn why_adapter(&self, path: &str, part: &str) -> Unexpected {
        use Unexpected as U;
        match self.paths.contains(path) {
            true if part == "lora_magnitude_vector" => U::Dora,
            true => U::NotTargeted,
            false if self.paths.contains(&format!("model.{path}")) => U::Headless,
            false => U::NoSuchLayer,
        }
    }
}

/// Path of the layer of the tensor that a file calls `name`, and its name as a parameter. The name of the adapter, which
/// PEFT has in memory only, may be part of it: `A.weight`, `A.default.weight`, `magnitude_vector.default`.
fn factor(name: &str) -> Option<(&str, &'static str)> {
    parts::all().find_map(|part| {
        let begin = part.name.strip_suffix(".weight").unwrap_or(part.name);
        let (path, rest) = name.split_once(&format!(".{begin}"))?;
        let rest = match rest.strip_prefix('.') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return None,
        };
        let adapter = match rest.strip_suffix("weight") {
            Some("") => "",
            Some(adapter) => adapter.strip_suffix('.')?,
            None if part.name == begin => rest,
            None => return None,
        };
        (!adapter.contains('.')).then_some((path, part.name))
    })
}

/// Name in a checkpoint of a weight that PEFT wraps.
fn base_name(name: &str) -> String {
    name.replace(".token_adapter.", ".")
        .replace(".base_layer.", ".")
        .replace(".original_module.", ".")
        .replace(".modules_to_save.default.", ".")
        .replace(".modules_to_save.", ".")
}
