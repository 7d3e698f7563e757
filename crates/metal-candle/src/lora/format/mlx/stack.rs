//! Factors of experts, which mlx-lm has together: `A` `(E, r, in)`, `B` `(E, out, r)`.

use super::keys;
use crate::experts;
use crate::lora::Placement;
use crate::lora::format::Inexpressible;
use crate::lora::format::names::split;
use candle_core::{Result, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a parameter is one of an expert.
pub(super) fn is_of_expert((name, _): &(String, Tensor)) -> bool {
    split(name).is_some_and(|(path, _)| experts::switch(path).is_some())
}

/// Layers of experts of which some have adapters and others do not.
pub(super) fn reasons(places: &[&Placement]) -> Vec<Inexpressible> {
    let mut numbers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for place in places {
        let known = experts::switch(&place.path).zip(experts::number(&place.path));
        if let Some((all, number)) = known {
            numbers.entry(all).or_default().insert(number);
        }
    }
    let most = numbers.values().filter_map(|numbers| numbers.last());
    let n_experts = most.max().map_or(0, |last| last + 1);
    let some = numbers
        .into_iter()
        .filter(|(_, numbers)| numbers.len() != n_experts);
    some.map(|(path, _)| Inexpressible::SomeExperts { path })
        .collect()
}

/// Tensors of the file, of parameters of every expert.
pub(super) fn on_disk(values: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    let values = values.into_iter();
    let values = values.map(|(name, value)| (keys::on_disk(&name), value));
    experts::stacked(values.collect())
}
