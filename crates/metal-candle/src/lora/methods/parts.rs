//! Tensors that adapters consist of: their names in files of PEFT, and what their dimensions are. Whoever reads, writes
//! or counts adapters asks here.

use super::{embedding, loha, lora, magnitude, tokens};
use crate::lora::{Kind, Placement};

/// Dimension of an adapter's tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lora) enum Dim {
    /// The rank.
    Rank,
    /// Width of the layer's input.
    In,
    /// Width of the layer's output.
    Out,
    /// Number of the tokens whose rows alone are trained.
    Token,
    /// Width of the residual stream, at a token embedding or an output head.
    Width,
}

/// A tensor of an adapter.
#[derive(Clone, Copy, Debug)]
pub(in crate::lora) struct Part {
    /// Name, after the path of the layer.
    pub(in crate::lora) name: &'static str,
    /// Dimensions, in their order.
    pub(in crate::lora) dims: &'static [Dim],
}

/// Tensors of every method, but for whole weights.
const ALL: [&[Part]; 5] = [
    &lora::PARTS,
    &embedding::PARTS,
    &magnitude::PARTS,
    &loha::PARTS,
    &tokens::PARTS,
];

impl Part {
    pub(super) fn shape(&self, place: &Placement) -> Vec<usize> {
        let size = |dim: &Dim| match dim {
            Dim::Rank => place.r,
            Dim::In => place.in_features,
            Dim::Out => place.out_features,
            Dim::Token => place.tokens.len(),
            Dim::Width => match place.kind {
                Kind::Linear => place.in_features,
                Kind::Embedding => place.out_features,
            },
        };
        self.dims.iter().map(size).collect()
    }
}

/// Every tensor that there is.
pub(in crate::lora) fn all() -> impl Iterator<Item = &'static Part> {
    ALL.into_iter().flatten()
}

/// Path of the layer of the parameter `name`, and the tensor that it is; `None` for a whole weight.
pub(in crate::lora) fn of_name(name: &str) -> Option<(&str, &'static Part)> {
    all().find_map(|part| {
        let path = name.strip_suffix(part.name)?.strip_suffix('.')?;
        Some((path, part))
    })
}
