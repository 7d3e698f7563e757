use super::targets::{ends_in, pattern_key};
use super::{Error, LoraConfig};
use regex::Regex;
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
    /// Matches `config` against the layers of a model.
    ///
    /// # Errors
    /// When a setting is out of range, a target or pattern matches nothing, or a block index does
    /// not exist: each error lists what does.
    pub fn new(config: &LoraConfig, layers: &[LinearInfo]) -> Result<Self, Error> {
        config.check()?;
        check_names(config, layers)?;
        check_blocks(config, layers)?;
        let chosen = chosen(config, layers)?;
        let ranks = compile("rank_pattern", &config.rank_pattern, &chosen)?;
        let alphas = compile("alpha_pattern", &config.alpha_pattern, &chosen)?;
        let placements = chosen.iter().map(|layer| {
            let r = first_match(&ranks, &layer.path).unwrap_or(config.r);
            let alpha = first_match(&alphas, &layer.path).unwrap_or(config.alpha);
            Placement {
                path: layer.path.clone(),
                r,
                scale: config.scale(alpha, r),
                in_features: layer.in_features,
                out_features: layer.out_features,
            }
        });
        Ok(Self {
            placements: placements.collect(),
            dropout: config.dropout,
        })
    }

    /// Number of parameters that are trained.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        self.placements
            .iter()
            .map(|p| p.r * (p.in_features + p.out_features))
            .sum()
    }
}

fn chosen<'a>(config: &LoraConfig, layers: &'a [LinearInfo]) -> Result<Vec<&'a LinearInfo>, Error> {
    let wanted = config.targets.matcher("targets")?;
    let excluded = match &config.exclude {
        Some(exclude) => Some(exclude.matcher("exclude_modules")?),
        None => None,
    };
    let chosen: Vec<&LinearInfo> = layers
        .iter()
        .filter(|layer| wanted.matches(&layer.path))
        .filter(|layer| excluded.as_ref().is_none_or(|e| !e.matches(&layer.path)))
        .filter(|layer| {
            let blocks = config.layers_to_transform.as_ref();
            blocks.is_none_or(|blocks| blocks.contains(&layer.block))
        })
        .collect();
    match chosen.is_empty() {
        true => Err(no_match("targets", &config.targets, layers)),
        false => Ok(chosen),
    }
}

/// Every name must exist: one that is mistyped among good ones would train less than was asked.
fn check_names(config: &LoraConfig, layers: &[LinearInfo]) -> Result<(), Error> {
    let super::Targets::Names(names) = &config.targets else {
        return Ok(());
    };
    match names
        .iter()
        .find(|name| !layers.iter().any(|layer| ends_in(&layer.path, name)))
    {
        Some(name) => Err(no_match("target", name, layers)),
        None => Ok(()),
    }
}

fn check_blocks(config: &LoraConfig, layers: &[LinearInfo]) -> Result<(), Error> {
    let n_blocks = layers
        .iter()
        .map(|layer| layer.block + 1)
        .max()
        .unwrap_or(0);
    let blocks = config.layers_to_transform.iter().flatten();
    match blocks.max() {
        Some(&block) if block >= n_blocks => Err(Error::Setting {
            what: "layers_to_transform",
            expected: "indices of blocks that the model has",
            got: format!("{block} of {n_blocks} blocks"),
        }),
        _ => Ok(()),
    }
}

fn compile<T: Copy>(
    what: &'static str,
    patterns: &[(String, T)],
    layers: &[&LinearInfo],
) -> Result<Vec<(Regex, T)>, Error> {
    let compiled = patterns.iter().map(|(key, value)| {
        let regex = pattern_key(what, key)?;
        match layers.iter().any(|layer| regex.is_match(&layer.path)) {
            true => Ok((regex, *value)),
            false => Err(no_match(what, key, layers.iter().copied())),
        }
    });
    compiled.collect()
}

fn first_match<T: Copy>(patterns: &[(Regex, T)], path: &str) -> Option<T> {
    let found = patterns.iter().find(|(regex, _)| regex.is_match(path));
    found.map(|(_, value)| *value)
}

fn no_match<'a>(
    what: &'static str,
    pattern: &impl ToString,
    layers: impl IntoIterator<Item = &'a LinearInfo>,
) -> Error {
    let names: BTreeSet<&str> = layers
        .into_iter()
        .filter_map(|layer| layer.path.rsplit('.').next())
        .collect();
    Error::NoMatch {
        what,
        pattern: pattern.to_string(),
        available: names.into_iter().map(String::from).collect(),
    }
}
