//! Names of experts: each layer of an expert has a path of its own, and tools have one for the same layer of all experts.

use candle_core::{Result, Tensor};
use std::collections::BTreeMap;

/// Experts of a tensor at most: what comes from a file must not ask for memory without bound.
pub(crate) const MOST_EXPERTS: usize = 4096;

/// Order in which files of a family have all experts of a block together, and mlx-lm's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stacks {
    /// Rows, those of the gate before those of the upper projection; mlx-lm has them below `switch_mlp`.
    #[default]
    Rows,
    /// Columns of which gate and upper projection alternate, as in gpt-oss; mlx-lm has them below `experts`.
    Columns,
}

/// Layers of an expert by mlx-lm's names.
const LAYERS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

/// Name of all experts in mlx-lm.
const SWITCH: &str = "switch_mlp";

/// Mixtral's names, and mlx-lm's for them.
const MIXTRAL: [(&str, &str); 3] = [("w1", "gate_proj"), ("w2", "down_proj"), ("w3", "up_proj")];

const MIXTRAL_MIXTURE: &str = "block_sparse_moe";

/// Path of one layer of the expert `number`.
pub(crate) fn path(mixture: &str, number: usize, layer: &str) -> String {
    format!("{mixture}.experts.{number}.{layer}")
}

/// Path of a mixture, and a layer of its experts in the family's words, where `path` is mlx-lm's of all of them.
pub(crate) fn of_switch(path: &str) -> Option<(&str, &str)> {
    if let Some((mixture, layer)) = path.split_once(".experts.") {
        return LAYERS.contains(&layer).then_some((mixture, layer));
    }
    let (mixture, layer) = path.split_once(&format!(".{SWITCH}."))?;
    Some((mixture, of_family(mixture, layer)))
}

/// Name of a layer in the family's words.
fn of_family<'a>(mixture: &str, layer: &'a str) -> &'a str {
    let mut names = MIXTRAL.into_iter();
    match names.find(|(_, name)| mixture.ends_with(MIXTRAL_MIXTURE) && *name == layer) {
        Some((name, _)) => name,
        None => layer,
    }
}

/// Number of the expert that a layer is a part of.
pub(crate) fn number(path: &str) -> Option<usize> {
    let (_, rest) = path.split_once(".experts.")?;
    rest.split('.').next()?.parse().ok()
}

impl Stacks {
    const ALL: [Self; 2] = [Self::Rows, Self::Columns];

    /// mlx-lm's path of all experts of which a layer is one: `mlp.experts.3.up_proj` is a part of `mlp.switch_mlp.up_proj`, or
    /// of `mlp.experts.up_proj`.
    pub(crate) fn switch(self, path: &str) -> Option<String> {
        let (mixture, rest) = path.split_once(".experts.")?;
        let (_, layer) = rest.split_once('.')?;
        if self == Self::Columns {
            return Some(format!("{mixture}.experts.{layer}"));
        }
        let mut names = MIXTRAL.into_iter();
        let named = names.find(|(name, _)| mixture.ends_with(MIXTRAL_MIXTURE) && *name == layer);
        let layer = named.map_or(layer, |(_, name)| name);
        Some(format!("{mixture}.{SWITCH}.{layer}"))
    }

    /// Name in mlx-lm of what holds a tensor of an expert, and the expert's number.
    fn place(self, name: &str) -> Option<(String, usize)> {
        let (path, end) = name.rsplit_once('.')?;
        Some((format!("{}.{end}", self.switch(path)?), number(path)?))
    }
}

/// mlx-lm's paths of all experts of which a layer is one, in families of every kind.
pub(crate) fn switches(path: &str) -> impl Iterator<Item = String> {
    Stacks::ALL
        .into_iter()
        .filter_map(|stacks| stacks.switch(path))
}

/// Tensors of single experts behind each other, `(E, ..)`, under mlx-lm's names; others as they are.
///
/// # Errors
/// When those of a layer differ in shape.
pub(crate) fn stacked(tensors: Vec<(String, Tensor)>, of: Stacks) -> Result<Vec<(String, Tensor)>> {
    let mut stacks: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
    let mut all = vec![];
    for (name, tensor) in tensors {
        match of.place(&name) {
            Some((stack, number)) => {
                stacks.entry(stack).or_default().insert(number, tensor);
            }
            None => all.push((name, tensor)),
        }
    }
    for (name, stack) in stacks {
        let stack: Vec<Tensor> = stack.into_values().collect();
        all.push((name, Tensor::stack(&stack, 0)?));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_experts_are_put_together() {
        let tensor = |x: f32| Tensor::full(x, 2, &candle_core::Device::Cpu).unwrap();
        let named = [
            ("m.mlp.experts.1.up_proj.scales", 1.0),
            ("m.norm.weight", 5.0),
        ];
        let named = named
            .into_iter()
            .chain([("m.mlp.experts.0.up_proj.scales", 0.0)]);
        let all = named
            .map(|(name, x)| (name.to_string(), tensor(x)))
            .collect();
        let all = stacked(all, Stacks::Rows).unwrap();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["m.norm.weight", "m.mlp.switch_mlp.up_proj.scales"]);
        let numbers: Vec<Vec<f32>> = all[1].1.to_vec2().unwrap();
        assert_eq!(numbers, [[0.0; 2], [1.0; 2]]);
        assert_eq!(
            Stacks::Rows
                .place("m.block_sparse_moe.experts.3.w1.weight")
                .unwrap(),
            ("m.block_sparse_moe.switch_mlp.gate_proj.weight".into(), 3)
        );
    }

    #[test]
    fn paths_of_one_and_of_all_belong_together() {
        let (rows, columns) = (Stacks::Rows, Stacks::Columns);
        for (mixture, one, all, stacks) in [
            ("m.mlp", "up_proj", "m.mlp.switch_mlp.up_proj", rows),
            (
                "m.block_sparse_moe",
                "w3",
                "m.block_sparse_moe.switch_mlp.up_proj",
                rows,
            ),
            ("m.mlp", "up_proj", "m.mlp.experts.up_proj", columns),
        ] {
            let path = path(mixture, 3, one);
            assert_eq!(stacks.switch(&path).as_deref(), Some(all));
            assert!(switches(&path).any(|known| known == all));
            assert_eq!(of_switch(all), Some((mixture, one)));
        }
        assert_eq!(switches("m.mlp.up_proj").count(), 0);
        assert_eq!(of_switch("m.mlp.experts.0.up_proj"), None);
        assert_eq!(of_switch("m.mlp.experts.gate_up_proj"), None);
    }
}
