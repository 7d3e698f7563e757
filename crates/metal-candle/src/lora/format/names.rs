//! Names that a format gives the tensors of adapters, and how it lays them out.

use crate::lora::choice::Unmatched;
use crate::lora::methods::parts;
use crate::lora::{Error, LayerInfo, LoraConfig, Plan, Unexpected};
use std::collections::{BTreeMap, BTreeSet};

/// Paths of the layers of a model that can carry adapters.
pub(super) type Paths = BTreeSet<String>;

/// A tensor by its name in a file.
pub(super) enum Key {
    /// Tensor of an adapter, by the name of its parameter.
    Factor(String),
    /// A weight of the base model, by its name in a checkpoint.
    Base(String),
    /// A name of no effect on what is computed.
    Ignored,
    /// Anything else.
    Other,
}

/// A tensor that a file holds a second time.
#[derive(Clone, Debug)]
pub(super) struct Copied {
    /// Parameter that it is.
    pub(super) of: String,
    /// Whether it lies across.
    pub(super) is_transposed: bool,
}

/// Names of tensors in files of a format.
pub(super) trait Names {
    /// What the tensor `key` is.
    fn key(&self, key: &str) -> Key;

    /// Name in a file of the parameter `name`.
    fn on_disk(&self, name: &str) -> String;

    /// Whether files hold both factors transposed: `A` as `(in, r)`, `B` as `(r, out)`.
    fn is_transposed(&self) -> bool;

    /// Parameters that files hold a second time, by the names of these copies.
    fn copied(&self, _: &Plan) -> BTreeMap<String, Copied> {
        BTreeMap::new()
    }

    /// Why a tensor of this name is not expected.
    fn why(&self, key: &str) -> Unexpected;
}

/// Settings of an adapter as a format has them.
pub(super) trait Settings: std::fmt::Debug {
    /// The settings in PEFT's terms, for a model with these layers, and what of them it lacks.
    fn config(&self, layers: &[LayerInfo]) -> Result<(LoraConfig, Vec<Unmatched>), Error>;

    /// Names of tensors, of which a model has layers at `paths`.
    fn names<'a>(&'a self, paths: &'a Paths) -> Box<dyn Names + 'a>;
}

/// Path of the layer that a parameter belongs to, and the rest of its name; `None` for a whole weight.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    parts::of_name(name).map(|(path, part)| (path, part.name))
}

/// Whether `key` holds a part of a model that sees or hears too.
pub(super) fn is_multi_modal(key: &str) -> bool {
    let mut parts = ["vision", "visual", "language_model."].into_iter();
    parts.any(|part| key.contains(part))
}
