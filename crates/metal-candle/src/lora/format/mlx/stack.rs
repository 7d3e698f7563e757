//! Factors of experts, which mlx-lm has together: `A` `(E, r, in)`, `B` `(E, out, r)`.

use super::keys;
use crate::experts::{self, Stacks};
use crate::lora::format::names::split;
use crate::lora::format::{Inexpressible, Portable};
use crate::lora::{Error, Placement};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a parameter is one of an expert.
pub(super) fn is_of_expert((name, _): &(String, Tensor)) -> bool {
    split(name).is_some_and(|(path, _)| experts::number(path).is_some())
}

/// Experts of each mixture of the model, and the order in which mlx-lm has them.
///
/// # Errors
/// When experts are adapted, and the model is not known: it may have more of them.
pub(super) fn base(places: &[&Placement], adapter: &Portable) -> Result<(usize, Stacks), Error> {
    let mut places = places.iter();
    let of_expert = places.find(|place| experts::number(&place.path).is_some());
    match (adapter.base, of_expert) {
        (Some(base), _) => Ok((base.n_experts, base.stacks)),
        (None, None) => Ok((0, Stacks::Rows)),
        (None, Some(place)) => Err(Error::WhichExperts {
            path: place.path.clone(),
        }),
    }
}

/// Layers of experts of which some have adapters and others do not.
pub(super) fn reasons(
    places: &[&Placement],
    n_experts: usize,
    stacks: Stacks,
) -> Vec<Inexpressible> {
    let mut numbers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for place in places {
        let known = stacks.switch(&place.path).zip(experts::number(&place.path));
        if let Some((all, number)) = known {
            numbers.entry(all).or_default().insert(number);
        }
    }
    let some = numbers
        .into_iter()
        .filter(|(_, numbers)| numbers.len() != n_experts);
    some.map(|(path, _)| Inexpressible::SomeExperts { path })
        .collect()
}

/// Tensors of the file, of parameters of every expert.
pub(super) fn on_disk(
    values: Vec<(String, Tensor)>,
    stacks: Stacks,
) -> candle_core::Result<Vec<(String, Tensor)>> {
    let values = values.into_iter();
    let values = values.map(|(name, value)| (keys::on_disk(&name), value));
    experts::stacked(values.collect(), stacks)
}
