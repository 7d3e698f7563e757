//! Kinds of adapters, as PEFT's `peft_type` tells them apart.

use crate::lora::Method;
use serde_json::{Map, Value};

/// A kind, and what its configuration has beside what those of all have.
#[derive(Debug)]
pub(super) struct PeftType {
    /// Its name.
    pub(super) name: &'static str,
    /// Method that it is, if no other field says more.
    pub(super) method: Method,
    /// Field of the numerator of the update's factor.
    pub(super) alpha: &'static str,
    /// Fields that change nothing of what a loaded adapter computes.
    pub(super) inert: &'static [&'static str],
    /// Fields that act on training in PEFT alone: told where they are set.
    pub(super) told: &'static [&'static str],
}

/// Refusal of another kind.
pub(super) const KINDS: &str = "only adapters of LORA and LOHA are read";

const TYPES: [PeftType; 2] = [
    PeftType {
        name: "LORA",
        method: Method::Lora,
        alpha: "lora_alpha",
        inert: &[],
        told: &[],
    },
    PeftType {
        name: "LOHA",
        method: Method::Loha,
        alpha: "alpha",
        inert: &["init_weights", "use_effective_conv2d"],
        told: &["module_dropout", "rank_dropout"],
    },
];

impl PeftType {
    /// Kind of a configuration.
    pub(super) fn of(config: &Map<String, Value>) -> Option<&'static Self> {
        let name = config.get("peft_type")?.as_str()?;
        TYPES.iter().find(|kind| kind.name == name)
    }

    /// Kind that adapters of a method are.
    pub(super) fn of_method(method: Method) -> &'static Self {
        let mut types = TYPES.iter();
        let own = types.find(|kind| kind.method == method);
        own.unwrap_or(&TYPES[0])
    }
}
