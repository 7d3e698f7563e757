//! Layers as the tensors of an adapter tell of them.

use super::names::{Key, Names, split};
use crate::lora::methods::parts::{self, Dim};
use crate::lora::plan::last_name;
use crate::lora::{Kind, LayerInfo, LoraConfig};
use std::collections::BTreeMap;

const EMBEDDING: &str = "embed_tokens";
const HEAD: &str = "lm_head";

/// Layers that tensors of these names and shapes are for, by their paths. One that is neither in a block
/// nor an end is left out: how it reads its weight is not known.
pub(super) fn of_tensors(
    shapes: &[(String, Vec<usize>)],
    names: &dyn Names,
    config: &LoraConfig,
) -> Vec<LayerInfo> {
    let mut found = BTreeMap::new();
    for (key, shape) in shapes {
        let name = match names.key(key) {
            Key::Factor(name) => name,
            Key::Base(name) if config.is_saved(path_of(&name)) => name,
            _ => continue,
        };
        let mut shape = shape.clone();
        if names.is_transposed() {
            shape.reverse();
        }
        note(&mut found, &name, &shape);
    }
    let mut layers: Vec<LayerInfo> = found.into_values().collect();
    if config.ensure_weight_tying {
        tie(&mut layers);
    }
    layers.sort_by_key(|layer| {
        (
            layer.kind != Kind::Embedding,
            layer.block.is_none(),
            layer.block,
        )
    });
    layers
}

fn path_of(name: &str) -> &str {
    split(name).map_or_else(
        || name.strip_suffix(".weight").unwrap_or(name),
        |(path, _)| path,
    )
}

/// Takes the widths that one tensor tells.
fn note(found: &mut BTreeMap<String, LayerInfo>, name: &str, shape: &[usize]) {
    let path = path_of(name);
    let block = block(path);
    let is_end = [EMBEDDING, HEAD].contains(&last_name(path));
    if block.is_none() && !is_end {
        return;
    }
    let layer = found.entry(path.into()).or_insert_with(|| LayerInfo {
        path: path.into(),
        kind: kind(path),
        block,
        in_features: 0,
        out_features: 0,
        tied_to: None,
    });
    let dims = match (parts::of_name(name), layer.kind) {
        (Some((_, part)), _) => part.dims,
        (None, Kind::Linear) => &[Dim::Out, Dim::In],
        (None, Kind::Embedding) => &[Dim::In, Dim::Out],
    };
    for (dim, size) in dims.iter().zip(shape) {
        match dim {
            Dim::In => layer.in_features = *size,
            Dim::Out => layer.out_features = *size,
            Dim::Width if layer.kind == Kind::Embedding => layer.out_features = *size,
            Dim::Width => layer.in_features = *size,
            Dim::Rank | Dim::Token => {}
        }
    }
}

/// How the layer at `path` reads its weight.
pub(super) fn kind(path: &str) -> Kind {
    match last_name(path) == EMBEDDING {
        true => Kind::Embedding,
        false => Kind::Linear,
    }
}

/// Index of the block that `path` lies in.
pub(super) fn block(path: &str) -> Option<usize> {
    let (_, rest) = path.split_once("layers.")?;
    rest.split('.').next()?.parse().ok()
}

/// Path of a layer inside of its block.
pub(super) fn inside(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("layers.")?;
    rest.split_once('.').map(|(_, inside)| inside)
}

fn tie(layers: &mut [LayerInfo]) {
    let embedding = layers.iter().find(|layer| layer.kind == Kind::Embedding);
    let Some(path) = embedding.map(|layer| layer.path.clone()) else {
        return;
    };
    for head in layers.iter_mut().filter(|layer| layer.path == HEAD) {
        head.tied_to = Some(path.clone());
    }
}
