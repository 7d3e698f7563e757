//! Layers that a configuration chooses among those of a model, with PEFT's rules.

use super::pattern::Pattern;
use super::plan::last_name;
use super::targets::{Matcher, Targets, ends_in};
use super::{Error, LayerInfo, LoraConfig, Method};
use std::collections::BTreeSet;
use std::time::Instant;

/// Source of the settings, for the words of errors.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    Options,
    File,
}

impl Origin {
    fn targets(self) -> &'static str {
        match self {
            Self::Options => "targets",
            Self::File => "target_modules",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Options => "target",
            Self::File => "target_modules",
        }
    }
}

/// A name or pattern that fits no layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmatched {
    /// Name of the setting.
    pub(super) what: &'static str,
    /// The name or pattern.
    pub(super) pattern: String,
}

impl Unmatched {
    pub(super) fn into_error(self, layers: &[LayerInfo]) -> Error {
        let names: BTreeSet<&str> = layers.iter().map(|layer| last_name(&layer.path)).collect();
        Error::NoMatch {
            what: self.what,
            pattern: super::error::shortened(&self.pattern),
            available: names.into_iter().map(String::from).collect(),
        }
    }
}

/// The chosen layers and what is done to them, in the model's order.
pub(super) struct Choice<'a> {
    config: &'a LoraConfig,
    pub(super) layers: Vec<(&'a LayerInfo, Method)>,
    pub(super) unmatched: Vec<Unmatched>,
    /// Whether one adapter acts on both ends.
    pub(super) is_tied: bool,
    /// When the matching of patterns began.
    start: Instant,
}

impl<'a> Choice<'a> {
    pub(super) fn new(
        config: &'a LoraConfig,
        layers: &'a [LayerInfo],
        origin: Origin,
    ) -> Result<Self, Error> {
        let start = Instant::now();
        let rule = Rule::new(config, origin)?;
        let mut unmatched = absent_names(config, layers, origin);
        unmatched.extend(absent_blocks(config, layers));
        unmatched.extend(absent_modules(config, layers));
        unmatched.extend(absent_tokens(config, layers));
        let tied = tied_method(config, layers, &rule)?;
        let mut chosen = vec![];
        for layer in layers {
            let method = match (tied, layer.block) {
                (Some(method), None) => Some(method),
                _ if config.is_saved(&layer.path) => Some(Method::Whole),
                _ => rule.takes(layer)?.then_some(config.method),
            };
            let method = match (config.tokens_of(layer), method) {
                (Some(_), None) if layer.block.is_none() => Some(Method::Tokens),
                (Some(_), _) => return Err(not_with_tokens(layer)),
                (None, method) => method,
            };
            chosen.extend(method.map(|method| (layer, method)));
        }
        if !chosen.iter().any(|(_, method)| method.has_rank()) {
            let (what, pattern) = (origin.targets(), config.targets.to_string());
            let none = Unmatched { what, pattern };
            // Of options the mistyped name is told rather than all of them.
            let told = match origin {
                Origin::Options => unmatched.into_iter().next().unwrap_or(none),
                Origin::File => none,
            };
            return Err(told.into_error(layers));
        }
        Ok(Self {
            config,
            layers: chosen,
            unmatched,
            is_tied: tied.is_some(),
            start,
        })
    }

    /// Ranks of the layers where `rank_pattern` gives one.
    pub(super) fn ranks(&mut self) -> Result<Vec<Option<usize>>, Error> {
        self.values("rank_pattern", &self.config.rank_pattern)
    }

    /// Alphas of the layers where `alpha_pattern` gives one.
    pub(super) fn alphas(&mut self) -> Result<Vec<Option<f64>>, Error> {
        self.values("alpha_pattern", &self.config.alpha_pattern)
    }

    /// The value of the first pattern that matches, for each layer.
    fn values<T: Copy>(
        &mut self,
        what: &'static str,
        patterns: &[(String, T)],
    ) -> Result<Vec<Option<T>>, Error> {
        let mut values = vec![None; self.layers.len()];
        for (key, value) in patterns {
            let pattern = Pattern::end(what, key)?;
            let mut is_used = false;
            for ((layer, _), slot) in self.layers.iter().zip(&mut values) {
                if pattern.is_match(&layer.path)? {
                    is_used = true;
                    slot.get_or_insert(*value);
                }
            }
            pattern.check_time(self.start)?;
            if !is_used {
                let pattern = key.clone();
                self.unmatched.push(Unmatched { what, pattern });
            }
        }
        Ok(values)
    }
}

/// Rule for whether a module carries an adapter.
struct Rule<'a> {
    wanted: Matcher<'a>,
    excluded: Option<Matcher<'a>>,
    blocks: Option<&'a [usize]>,
}

impl<'a> Rule<'a> {
    fn new(config: &'a LoraConfig, origin: Origin) -> Result<Self, Error> {
        let exclude = config.exclude.as_ref();
        Ok(Self {
            wanted: config.targets.matcher(origin.targets())?,
            excluded: exclude.map(|e| e.matcher("exclude_modules")).transpose()?,
            blocks: config.layers_to_transform.as_deref(),
        })
    }

    /// A list of blocks does not apply to a layer that is named by its whole path, and leaves no
    /// other layer outside blocks. All linear layers are those of the blocks.
    fn takes(&self, layer: &LayerInfo) -> Result<bool, Error> {
        let path = &layer.path;
        if let Some(excluded) = &self.excluded
            && excluded.matches(path)?
        {
            return Ok(false);
        }
        if matches!(self.wanted, Matcher::All) && layer.block.is_none() {
            return Ok(false);
        }
        let of_block = |blocks: &[usize]| layer.block.is_some_and(|block| blocks.contains(&block));
        let is_reached = self.blocks.is_none_or(of_block) || self.wanted.names_exactly(path);
        Ok(is_reached && self.wanted.matches(path)?)
    }
}

/// What is done to both ends where they are one matrix, stay it, and either is chosen. As in PEFT, a name
/// or pattern chooses them without the rest of their path.
fn tied_method(
    config: &LoraConfig,
    layers: &[LayerInfo],
    rule: &Rule<'_>,
) -> Result<Option<Method>, Error> {
    let are_one = layers.iter().any(|layer| layer.tied_to.is_some());
    if !config.ensure_weight_tying || !are_one {
        return Ok(None);
    }
    let mut ends = layers.iter().filter(|layer| layer.block.is_none());
    if ends.clone().any(|end| config.is_saved(&end.path)) {
        return Ok(Some(Method::Whole));
    }
    let is_chosen = |end: &LayerInfo| match &rule.wanted {
        Matcher::All => Ok(false),
        Matcher::Names(_) => rule.wanted.matches(&end.path),
        Matcher::Regex(pattern) => pattern.is_match(last_name(&end.path)),
    };
    let chosen = ends.try_fold(false, |found, end| Ok::<_, Error>(found || is_chosen(end)?))?;
    Ok(chosen.then_some(config.method))
}

/// Names that no layer has: one that is mistyped among good ones would train less than was asked.
fn absent_names(config: &LoraConfig, layers: &[LayerInfo], origin: Origin) -> Vec<Unmatched> {
    let Targets::Names(names) = &config.targets else {
        return vec![];
    };
    let is_absent = |name: &&String| !layers.iter().any(|layer| ends_in(&layer.path, name));
    let absent = names.iter().filter(is_absent).map(|name| Unmatched {
        what: origin.target(),
        pattern: name.clone(),
    });
    absent.collect()
}

fn absent_blocks(config: &LoraConfig, layers: &[LayerInfo]) -> Vec<Unmatched> {
    let n_blocks = layers.iter().filter_map(|layer| layer.block).max();
    let n_blocks = n_blocks.map_or(0, |last| last + 1);
    let blocks = config.layers_to_transform.iter().flatten();
    let absent = blocks.filter(|block| **block >= n_blocks);
    let unmatched = absent.map(|block| Unmatched {
        what: "layers_to_transform",
        pattern: block.to_string(),
    });
    unmatched.collect()
}

fn absent_modules(config: &LoraConfig, layers: &[LayerInfo]) -> Vec<Unmatched> {
    let is_absent = |name: &&String| !layers.iter().any(|layer| ends_in(&layer.path, name));
    let absent = config.modules_to_save.iter().filter(is_absent);
    let unmatched = absent.map(|module| Unmatched {
        what: "modules_to_save",
        pattern: module.clone(),
    });
    unmatched.collect()
}

fn absent_tokens(config: &LoraConfig, layers: &[LayerInfo]) -> Vec<Unmatched> {
    let named = config.trainable_token_indices.iter().map(|(name, _)| name);
    let absent = named.filter(|name| !layers.iter().any(|layer| ends_in(&layer.path, name)));
    let unmatched = absent.map(|name| Unmatched {
        what: "trainable_token_indices",
        pattern: name.clone(),
    });
    unmatched.collect()
}

/// The error where rows of tokens are trained on a layer that has no such rows, or another adapter.
fn not_with_tokens(layer: &LayerInfo) -> Error {
    Error::NotBuilt {
        path: layer.path.clone(),
        what: match layer.block {
            Some(_) => "trainable_token_indices of a layer inside of a block",
            None => "another adapter beside trainable_token_indices",
        },
    }
}
