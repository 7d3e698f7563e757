use super::choice::{Choice, Origin, Unmatched};
use super::{Error, Init, Kind, LoraConfig, Method};
use std::collections::BTreeSet;

/// Path of a token embedding.
pub(crate) const EMBEDDING: &str = "model.embed_tokens";

/// Path of an output head.
pub(crate) const HEAD: &str = "lm_head";

/// A layer of a model that can carry an adapter, as a plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Path in the checkpoint, without `.weight`.
    pub path: String,
    /// How it reads its weight.
    pub kind: Kind,
    /// Index of the transformer block that the layer is part of; `None`: the token embedding or the
    /// output head.
    pub block: Option<usize>,
    /// Width of its input; number of tokens of an embedding.
    pub in_features: usize,
    /// Width of its output.
    pub out_features: usize,
    /// Path of the layer whose weight it has: an output head that is the token embedding.
    pub tied_to: Option<String>,
}

/// One adapter to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Path of the layer.
    pub path: String,
    /// How the layer reads its weight.
    pub kind: Kind,
    /// What the adapter does.
    pub method: Method,
    /// How its factors begin.
    pub init: Init,
    /// Rank.
    pub r: usize,
    /// Factor of the update.
    pub scale: f64,
    /// Dropout on the adapter's input while training.
    pub dropout: f64,
    /// Width of the layer's input.
    pub in_features: usize,
    /// Width of the layer's output.
    pub out_features: usize,
    /// Tokens whose rows alone are trained, where it is no more.
    pub tokens: Vec<u32>,
    /// Path of the layer whose adapter acts here too, transposed where that is an embedding.
    pub tied_to: Option<String>,
}

/// Places of adapters, and the rank and strength of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One entry for each layer that carries an adapter, in the model's order.
    pub placements: Vec<Placement>,
}

impl Placement {
    /// Place of the plain adapter that files hold of this one.
    pub(crate) fn plain(&self) -> Self {
        let times = if self.init.is_of_weight() { 2 } else { 1 };
        Self {
            init: Init::Lora,
            r: times * self.r,
            ..self.clone()
        }
    }

    /// Place whose [`Self::plain`] this is.
    pub(crate) fn with_init(&self, init: Init) -> Self {
        match (self.method, self.kind) {
            (Method::Lora, Kind::Linear) => Self {
                init,
                r: self.r / 2,
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    /// Number of parameters that are trained.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        let shapes = self.method.shapes(self).into_iter();
        shapes
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }
}

impl Plan {
    /// Matches the `config` of a new adapter against the layers of a model.
    ///
    /// # Errors
    /// When a setting is out of range, a target or pattern matches nothing, or a block index does
    /// not exist: each error lists what does.
    pub fn new(config: &LoraConfig, layers: &[LayerInfo]) -> Result<Self, Error> {
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
        layers: &[LayerInfo],
    ) -> Result<(Self, Vec<Unmatched>), Error> {
        matched(config, layers, Origin::File)
    }

    /// Number of parameters that are trained.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.placements.iter().map(Placement::n_parameters).sum()
    }

    /// Warns of ranks above a layer's narrower side: the update cannot be of a higher one.
    fn tell_useless_ranks(&self) {
        let useless = self
            .placements
            .iter()
            .filter(|p| p.method.has_rank() && p.r > p.in_features.min(p.out_features));
        let names: BTreeSet<&str> = useless.map(|p| last_name(&p.path)).collect();
        if !names.is_empty() {
            let names = Vec::from_iter(names).join(", ");
            tracing::warn!("the rank is above the width of {names}: more than that adds nothing");
        }
    }
}

fn matched(
    config: &LoraConfig,
    layers: &[LayerInfo],
    origin: Origin,
) -> Result<(Plan, Vec<Unmatched>), Error> {
    config.check()?;
    let mut choice = Choice::new(config, layers, origin)?;
    let (ranks, alphas) = (choice.ranks()?, choice.alphas()?);
    let mut placements = vec![];
    for ((layer, method), (r, alpha)) in choice.layers.iter().zip(ranks.into_iter().zip(alphas)) {
        let r = r.unwrap_or(config.r);
        if layer.kind == Kind::Embedding && method.has_rank() && !method.has_lora() {
            return Err(Error::NotBuilt {
                path: layer.path.clone(),
                what: "another method than lora and dora on a token embedding",
            });
        }
        let init = match (method, layer.kind) {
            (Method::Lora, Kind::Embedding) if config.init.is_of_weight() => {
                return Err(config.beside_init("lora on a token embedding", &layer.path));
            }
            (Method::Lora, _) if config.init.is_of_weight() => config.init,
            _ => Init::Lora,
        };
        let tokens = match method {
            Method::Tokens => config.tokens_of(layer).unwrap_or_default(),
            _ => &[],
        };
        placements.push(Placement {
            path: layer.path.clone(),
            kind: layer.kind,
            method: *method,
            init,
            r,
            scale: config.checked_scale(alpha.unwrap_or(config.alpha), r)?,
            dropout: config.dropout,
            in_features: layer.in_features,
            out_features: layer.out_features,
            tokens: tokens.to_vec(),
            tied_to: layer.tied_to.clone().filter(|other| match method {
                Method::Tokens => config.tokens_at(other) == Some(tokens),
                _ => choice.is_tied,
            }),
        });
    }
    Ok((Plan { placements }, choice.unmatched))
}

/// Name of a layer without its block.
pub(crate) fn last_name(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
