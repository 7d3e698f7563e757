//! One number for all layers, where an adapter may have one for each.

use super::Inexpressible;
use crate::lora::Placement;
use candle_core::{Result, Tensor};

/// Factor of the update that all layers have in a file. What a layer has beside it goes into its `B`, as a
/// power of two: nothing is rounded.
pub(super) struct Common {
    pub(super) factor: f64,
    of: fn(&Placement) -> f64,
}

impl Common {
    /// What most layers have of the factor that `of` gives for each.
    ///
    /// # Errors
    /// With the layers of which it is no power of two beside that of the others: in `B` it would be
    /// rounded.
    pub(super) fn new(
        places: &[&Placement],
        of: fn(&Placement) -> f64,
    ) -> std::result::Result<Self, Vec<Inexpressible>> {
        let factor = most_frequent(places.iter().map(|place| of(place)));
        let others = places.iter();
        let others = others.filter(|place| !is_power_of_two(of(place) / factor));
        let reasons: Vec<Inexpressible> = others
            .map(|place| Inexpressible::Scale {
                path: place.path.clone(),
                scale: place.scale,
                others: factor / of(place) * place.scale,
            })
            .collect();
        match reasons.is_empty() {
            true => Ok(Self { factor, of }),
            false => Err(reasons),
        }
    }

    /// The factor `B` of a layer.
    pub(super) fn with_rest(&self, b: &Tensor, place: &Placement) -> Result<Tensor> {
        let rest = (self.of)(place) / self.factor;
        match rest == 1.0 {
            true => Ok(b.clone()),
            false => b * rest,
        }
    }
}

fn is_power_of_two(ratio: f64) -> bool {
    let mantissa = ratio.to_bits() & ((1 << 52) - 1);
    ratio.is_normal() && mantissa == 0
}

/// The first of those that come most often.
fn most_frequent(values: impl Iterator<Item = f64>) -> f64 {
    let mut counts: Vec<(f64, usize)> = vec![];
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counts.push((value, 1)),
        }
    }
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(1.0, |(value, _)| *value)
}
