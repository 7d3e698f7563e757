//! One rank and one scale for all layers, where an adapter may have one for each.

use crate::lora::Placement;
use crate::lora::format::Inexpressible;
use crate::lora::format::common::Common;
use crate::lora::format::names::split;
use candle_core::{Result, Tensor};
use std::collections::BTreeSet;

/// Rank and scale that all layers have in the file.
pub(super) struct Uniform {
    pub(super) rank: usize,
    pub(super) scale: Common,
}

impl Uniform {
    /// The highest rank, and the scale of most layers.
    ///
    /// # Errors
    /// With the ranks, if they differ and may not be filled up, and the layers with another scale.
    pub(super) fn of(
        places: &[&Placement],
        pads_ranks: bool,
    ) -> std::result::Result<Self, Vec<Inexpressible>> {
        let ranks: BTreeSet<usize> = places.iter().map(|place| place.r).collect();
        let rank = ranks.last().copied().unwrap_or(1);
        let differ = (ranks.len() > 1 && !pads_ranks).then(|| Inexpressible::Ranks {
            ranks: ranks.into_iter().collect(),
        });
        match (Common::new(places, |place| place.scale), differ) {
            (Ok(scale), None) => Ok(Self { rank, scale }),
            (scale, differ) => Err(scale.err().into_iter().flatten().chain(differ).collect()),
        }
    }

    /// Parameters of the layers with this rank and scale.
    pub(super) fn values(
        &self,
        places: &[&Placement],
        values: &[(String, Tensor)],
    ) -> Result<Vec<(String, Tensor)>> {
        let of_place = |name: &str| {
            let (path, _) = split(name)?;
            places.iter().find(|place| place.path == path).copied()
        };
        let known = values.iter();
        let known = known.filter_map(|(name, value)| Some((name, value, of_place(name)?)));
        let values = known.map(|(name, value, place)| {
            let value = match split(name).map_or("", |(_, rest)| rest) {
                "lora_A.weight" | "lora_embedding_A" => self.padded(value, 0)?,
                "lora_B.weight" | "lora_embedding_B" => {
                    self.padded(&self.scale.with_rest(value, place)?, 1)?
                }
                _ => value.clone(),
            };
            Ok((name.clone(), value))
        });
        values.collect()
    }

    /// `dim` is that of the rank.
    fn padded(&self, value: &Tensor, dim: usize) -> Result<Tensor> {
        value.pad_with_zeros(dim, 0, self.rank - value.dim(dim)?)
    }
}
