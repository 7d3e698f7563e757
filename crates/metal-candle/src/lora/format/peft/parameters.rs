//! Adapters of tensors that hold all experts of a block (`target_parameters`; `huggingface/peft`, `ParamWrapper` in
//! `tuners/lora/layer.py`), as adapters of each expert's layers.
//!
//! Of `E` experts with rank `r`, `A` is `(E r, in)`, one expert behind another, and `B` is `(out, r E)`, whose columns count
//! experts first. The gate and the upper projection are rows of one tensor, by turns where [`Stacks::Columns`] are: both have its `A`. Where both tensors of a block
//! are adapted, what is around the first one is called `base_layer`.

use super::keys::PREFIX;
use crate::experts::{self, MOST_EXPERTS, Stacks};
use crate::lora::format::layers::block;
use crate::lora::format::stacked::{Part, size_of};
use crate::lora::format::tensors::TensorFile;
use crate::lora::pattern::Pattern;
use crate::lora::shortened;
use crate::lora::{Error, LoraConfig, Targets};
use safetensors::tensor::TensorView;
use std::cell::RefCell;
use std::collections::BTreeMap;

const GATE_UP: &str = "gate_up_proj";
const DOWN: &str = "down_proj";

/// Tensors that an adapter names.
#[derive(Debug)]
pub(super) struct Parameters {
    has_gate_up: bool,
    has_down: bool,
    /// Layers whose weights are named.
    layers: Vec<String>,
}

impl Parameters {
    /// Parameters by their names; `None` where there are none.
    ///
    /// # Errors
    /// With a name that is not built.
    pub(super) fn new(names: &[String]) -> Result<Option<Self>, String> {
        let ends = |name: &str, end: &str| name == end || name.ends_with(&format!(".{end}"));
        let mut all = Self {
            has_gate_up: false,
            has_down: false,
            layers: vec![],
        };
        for name in names {
            match name.strip_suffix(".weight") {
                Some(layer) => all.layers.push(layer.into()),
                None if ends(name, GATE_UP) => all.has_gate_up = true,
                None if ends(name, DOWN) => all.has_down = true,
                None => {
                    let name = shortened(name);
                    return Err(format!("{name} is neither {GATE_UP}, {DOWN} nor a weight"));
                }
            }
        }
        Ok((!names.is_empty()).then_some(all))
    }

    /// Whether gate and upper projection are one tensor.
    pub(super) fn has_pairs(&self) -> bool {
        self.has_gate_up
    }

    /// Takes the tensors of `file` apart, and has `config` name the layers that they are for.
    ///
    /// # Errors
    /// When a pattern of the configuration is none, or the file is damaged.
    pub(super) fn apart(
        &self,
        config: &mut LoraConfig,
        file: &mut TensorFile,
        stacks: Stacks,
    ) -> Result<(), Error> {
        // A text was refused.
        let Targets::Names(names) = &mut config.targets else {
            return Ok(());
        };
        names.extend(self.layers.iter().cloned());
        let found = RefCell::new(BTreeMap::new());
        let ranks = patterns("rank_pattern", &config.rank_pattern)?;
        let r = config.r;
        file.rebuild(&|key, view| {
            let Some(stack) = self.stack(key) else {
                return vec![];
            };
            let rank = value(&ranks, &stack.parameter).unwrap_or(r);
            let parts = stack.parts(rank, view, stacks);
            found
                .borrow_mut()
                .insert(stack.parameter, (stack.layers, parts.len()));
            parts
        })?;
        let found = found.into_inner();
        let n_experts = |(layers, n): &(&[&str], usize)| n / layers.len();
        for of in found.values() {
            let layers = of.0.iter();
            let named = layers
                .flat_map(|layer| (0..n_experts(of)).map(move |e| format!("experts.{e}.{layer}")));
            names.extend(named);
        }
        names.sort();
        names.dedup();
        let paths = || {
            found
                .iter()
                .map(|(path, (layers, _))| (path.as_str(), *layers))
        };
        config.rank_pattern = of_layers("rank_pattern", &config.rank_pattern, r, paths())?;
        config.alpha_pattern = of_layers(
            "alpha_pattern",
            &config.alpha_pattern,
            config.alpha,
            paths(),
        )?;
        Ok(())
    }

    /// What the tensor `key` is of.
    fn stack<'a>(&self, key: &'a str) -> Option<Stack<'a>> {
        let (mixture, rest) = key.split_once(".experts.")?;
        let path = mixture.strip_prefix(PREFIX)?;
        block(path)?;
        let (is_inner, factor) = match rest.strip_prefix("base_layer.") {
            Some(factor) => (true, factor),
            None => (false, rest),
        };
        let is_gate_up = self.has_gate_up && (is_inner || !self.has_down);
        let (name, layers): (_, &[&str]) = match is_gate_up {
            true => (GATE_UP, &["gate_proj", "up_proj"]),
            false => (DOWN, &[DOWN]),
        };
        Some(Stack {
            mixture,
            parameter: format!("{path}.experts.{name}"),
            layers,
            is_a: match factor {
                "lora_A.weight" => true,
                "lora_B.weight" => false,
                _ => return None,
            },
        })
    }
}

/// A factor of all experts.
struct Stack<'a> {
    mixture: &'a str,
    /// Path of the tensor that it is added to.
    parameter: String,
    /// Layers whose rows that tensor has.
    layers: &'static [&'static str],
    is_a: bool,
}

impl Stack<'_> {
    /// Factors of single experts; none where the shape is not that of any number of them.
    fn parts(&self, rank: usize, view: &TensorView<'_>, stacks: Stacks) -> Vec<Part> {
        let (&[rows, columns], Some(size)) = (view.shape(), size_of(view.dtype())) else {
            return vec![];
        };
        let (all, cut) = if self.is_a {
            (rows, 1)
        } else {
            (columns, self.layers.len())
        };
        let n_experts = all / rank.max(1);
        if !(1..=MOST_EXPERTS).contains(&n_experts)
            || n_experts * rank != all
            || !rows.is_multiple_of(cut)
        {
            return vec![];
        }
        let part = |i: usize| {
            let (expert, layer) = (i / self.layers.len(), i % self.layers.len());
            let (rows, places): (_, Vec<usize>) = match self.is_a {
                true => (
                    rank,
                    (expert * rank * columns..(expert + 1) * rank * columns).collect(),
                ),
                false => {
                    let of_row =
                        |row: usize| (0..rank).map(move |j| row * columns + j * n_experts + expert);
                    let rows = rows_of(stacks, (layer, cut), rows);
                    (rows.len(), rows.into_iter().flat_map(of_row).collect())
                }
            };
            let numbers = places
                .iter()
                .flat_map(|place| &view.data()[place * size..][..size]);
            let end = if self.is_a { "lora_A" } else { "lora_B" };
            Part {
                name: format!(
                    "{}.{end}.weight",
                    experts::path(self.mixture, expert, self.layers[layer])
                ),
                dtype: view.dtype(),
                shape: [rows, if self.is_a { columns } else { rank }],
                bytes: numbers.copied().collect(),
            }
        };
        (0..n_experts * self.layers.len()).map(part).collect()
    }
}

/// Rows of one layer of `n`, which a tensor has one behind another or by turns.
fn rows_of(stacks: Stacks, (layer, n): (usize, usize), all: usize) -> Vec<usize> {
    let rows = 0..all / n;
    match stacks {
        Stacks::Rows => rows.map(|row| layer * (all / n) + row).collect(),
        Stacks::Columns => rows.map(|row| row * n + layer).collect(),
    }
}

fn patterns<T: Copy>(what: &'static str, all: &[(String, T)]) -> Result<Vec<(Pattern, T)>, Error> {
    let all = all.iter();
    all.map(|(key, value)| Ok((Pattern::end(what, key)?, *value)))
        .collect()
}

/// Value of the first pattern that matches; one that tries too many ways matches nothing.
fn value<T: Copy>(patterns: &[(Pattern, T)], path: &str) -> Option<T> {
    let mut patterns = patterns.iter();
    let found = patterns.find(|(pattern, _)| pattern.is_match(path).unwrap_or(false));
    found.map(|(_, value)| *value)
}

/// Patterns that give the layers of experts what `all` give the tensors that they are a part of.
fn of_layers<'a, T: Copy>(
    what: &'static str,
    all: &[(String, T)],
    default: T,
    parameters: impl Iterator<Item = (&'a str, &'a [&'a str])>,
) -> Result<Vec<(String, T)>, Error> {
    if all.is_empty() {
        return Ok(vec![]);
    }
    let compiled = patterns(what, all)?;
    let of_parameter = |(path, layers): (&str, &[&str])| {
        let (mixture, _) = path.rsplit_once('.').unwrap_or((path, ""));
        let (mixture, layers) = (mixture.replace('.', r"\."), layers.join("|"));
        let value = value(&compiled, path).unwrap_or(default);
        (format!(r"{mixture}\.\d+\.(?:{layers})"), value)
    };
    let others = all.iter().filter(|(key, _)| !key.contains(GATE_UP));
    Ok(parameters
        .map(of_parameter)
        .chain(others.cloned())
        .collect())
}
