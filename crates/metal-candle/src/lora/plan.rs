use super::choice::{Choice, Origin, Unmatched};
use super::{Error, LoraConfig};
use std::collections::BTreeSet;

/// A linear layer of a model, as a plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearInfo {
    /// Path in the checkpoint, without `.weight`.
    pub path: String,
    /// Index of the transformer block that the layer is part of.
    pub block: usize,
    /// Width of its input.
    pub in_features: usize,
    /// Width of its output.
    pub out_features: usize,
}

/// One adapter to be attached.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Path of the linear layer.
    pub path: String,
    /// Rank.
    pub r: usize,
    /// Factor of the update.
    pub scale: f64,
    /// Width of the layer's input.
    pub in_features: usize,
    /// Width of the layer's output.
    pub out_features: usize,
}

/// Where adapters go, and of what rank and strength each is.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One entry for each layer that carries an adapter, in the model's order.
    pub placements: Vec<Placement>,
    /// Dropout on the adapters' input while training.
    pub dropout: f64,
}

impl Plan {
    /// Matches the `config` of a new adapter against the layers of a model.
    ///
    /// # Errors
    /// When a setting is out of range, a target or pattern matches nothing, or a block index does
    /// not exist: each error lists what does.
    pub fn new(config: &LoraConfig, layers: &[LinearInfo]) -> Result<Self, Error> {
        let (plan, unmatched) = matched(config, layers, Origin::Options)?;
        if let Some(unmatched) = unmatched.into_iter().next() {
            return Err(unmatched.into_error(layers));
        }
        plan.tell_useless_ranks();
        Ok(plan)
    }

    /// Matches the `config` of an adapter that was trained elsewhere: names, patterns and blocks
    /// that this model lacks are PEFT's right as long as one matches. They are given back.
    ///
    /// # Errors
    /// When a setting is out of range, or no layer matches.
    pub(super) fn of_file(
        config: &LoraConfig,
        layers: &[LinearInfo],
    ) -> Result<(Self, Vec<Unmatched>), Error> {
        matched(config, layers, Origin::File)
    }

    /// Number of parameters that are trained.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.placements
            .iter()
            .map(|p| p.r * (p.in_features + p.out_features))
            .sum()
    }

    /// Warns of ranks above a layer's narrower side: the update cannot be of a higher one.
    fn tell_useless_ranks(&self) {
        let useless = self
            .placements
            .iter()
            .filter(|p| p.r > p.in_features.min(p.out_features));
        let names: BTreeSet<&str> = useless.map(|p| last_name(&p.path)).collect();
        if !names.is_empty() {
            let names = Vec::from_iter(names).join(", ");
            tracing::warn!("the rank is above the width of {names}: more than that adds nothing");
        }
    }
}

fn matched(
    config: &LoraConfig,
    layers: &[LinearInfo],
    origin: Origin,
) -> Result<(Plan, Vec<Unmatched>), Error> {
    config.check()?;
    let mut choice = Choice::new(config, layers, origin)?;
    let (ranks, alphas) = (choice.ranks()?, choice.alphas()?);
    let mut placements = vec![];
    for (layer, (r, alpha)) in choice.layers.iter().zip(ranks.into_iter().zip(alphas)) {
        let r = r.unwrap_or(config.r);
        let scale = config.checked_scale(alpha.unwrap_or(config.alpha), r)?;
        placements.push(Placement {
            path: layer.path.clone(),
            r,
            scale,
            in_features: layer.in_features,
            out_features: layer.out_features,
        });
    }
    let dropout = config.dropout;
    Ok((
        Plan {
            placements,
            dropout,
        },
        choice.unmatched,
    ))
}

/// Name of a layer without its block.
pub(super) fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
