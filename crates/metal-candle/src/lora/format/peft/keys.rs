//! Names of tensors in an adapter file.

use crate::lora::Unexpected;
use candle_core::Var;
use std::collections::BTreeSet;

pub(super) const PREFIX: &str = "base_model.model.";

/// What is known of a model and a configuration when names are judged.
pub(super) struct Known<'a> {
    /// Paths of the linear layers that the model has.
    pub(super) paths: BTreeSet<String>,
    /// Beginnings of tensors that act on training in PEFT alone.
    pub(super) ignored: &'a [&'static str],
}

/// A tensor by its name.
pub(super) enum Key {
    /// A factor of an adapter, by the name of its parameter.
    Factor(String),
    /// A weight of the base model, by its name in a checkpoint.
    Base(String),
    /// Of no effect on what is computed.
    Ignored,
    /// Anything else.
    Other,
}

/// Name of the parameter `side`, "A" or "B", of the layer at `path`.
pub(super) fn parameter(path: &str, side: &str) -> String {
    format!("{path}.lora_{side}.weight")
}

/// Paths of the layers that carry `parameters`.
pub(super) fn paths(parameters: &[(String, Var)]) -> BTreeSet<String> {
    let paths = parameters
        .iter()
        .filter_map(|(name, _)| name.split_once(".lora_"));
    paths.map(|(path, _)| path.to_string()).collect()
}

impl Known<'_> {
    pub(super) fn key(&self, key: &str) -> Key {
        let Some(name) = key.strip_prefix(PREFIX) else {
            return Key::Other;
        };
        let Some((path, kind)) = name.split_once(".lora_") else {
            return Key::Base(base_name(name));
        };
        if self.ignored.iter().any(|ignored| kind.starts_with(ignored)) {
            return Key::Ignored;
        }
        let side = ["A", "B"].into_iter().find(|side| is_factor(kind, side));
        side.map_or(Key::Other, |side| Key::Factor(parameter(path, side)))
    }

    /// Why a tensor of this name is not expected.
    pub(super) fn why(&self, key: &str) -> Unexpected {
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
        if ["vision", "visual", "language_model."].into_iter().any(has) {
            return U::MultiModal;
        }
        match name.split_once(".lora_") {
            Some((path, kind)) => self.why_adapter(path, kind),
            None => U::Unknown,
        }
    }

    fn why_adapter(&self, path: &str, kind: &str) -> Unexpected {
        use Unexpected as U;
        if kind.starts_with("magnitude_vector") {
            return U::Dora;
        }
        if kind.starts_with("embedding_") || path.ends_with("embed_tokens") {
            return U::Embedding;
        }
        if path.ends_with("lm_head") {
            return U::Head;
        }
        if kind.starts_with("B.") && kind.ends_with("bias") {
            return U::Bias;
        }
        if !is_factor(kind, "A") && !is_factor(kind, "B") {
            return U::Unknown;
        }
        match self.paths.contains(path) {
            true => U::NotTargeted,
            false if self.paths.contains(&format!("model.{path}")) => U::Headless,
            false => U::NoSuchLayer,
        }
    }
}

/// `A.weight`, or with the adapter's name, which PEFT has in memory only: `A.default.weight`.
fn is_factor(kind: &str, side: &str) -> bool {
    let rest = kind
        .strip_prefix(side)
        .and_then(|rest| rest.strip_prefix('.'));
    let name = rest.and_then(|rest| rest.strip_suffix("weight"));
    // Nothing, or one name and a dot.
    name.is_some_and(|n| n.is_empty() || (n.ends_with('.') && n.matches('.').count() == 1))
}

/// Name in a checkpoint of a weight that PEFT wraps.
fn base_name(name: &str) -> String {
    name.replace(".base_layer.", ".")
        .replace(".original_module.", ".")
        .replace(".modules_to_save.default.", ".")
        .replace(".modules_to_save.", ".")
}
