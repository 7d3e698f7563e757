//! Parts of a decoder, each with its path, in the order of the data.

use super::layers::{Part, PartMut, Visit};
use super::{Decoder, Result};
use crate::lora::{Kind, LayerInfo, Linear};
use candle_core::Tensor;
use metal_candle_kernels::Weight;

/// Stretch of a model that a part belongs to, in the order of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// The token embedding.
    Embedding,
    /// A transformer block.
    Block(usize),
    /// The last norm and the output head.
    Head,
}

impl Decoder {
    /// Every part with its segment.
    #[must_use]
    pub fn parts(&self) -> Vec<(Segment, Part<'_>)> {
        let first: [(Segment, &dyn Visit); 1] = [(Segment::Embedding, &self.embed_tokens)];
        let blocks = self.layers.iter().enumerate();
        let blocks = blocks.map(|(i, block)| (Segment::Block(i), &**block as &dyn Visit));
        let last: [(Segment, &dyn Visit); 2] =
            [(Segment::Head, &self.norm), (Segment::Head, &self.lm_head)];
        let mut parts = vec![];
        for (segment, holder) in first.into_iter().chain(blocks).chain(last) {
            holder.visit(&mut |part| parts.push((segment, part)));
        }
        parts
    }

    /// [`Self::parts`], to be changed.
    pub fn parts_mut(&mut self) -> Vec<(Segment, PartMut<'_>)> {
        let first: [(Segment, &mut dyn Visit); 1] = [(Segment::Embedding, &mut self.embed_tokens)];
        let blocks = self.layers.iter_mut().enumerate();
        let blocks = blocks.map(|(i, block)| (Segment::Block(i), &mut **block as &mut dyn Visit));
        let last: [(Segment, &mut dyn Visit); 2] = [
            (Segment::Head, &mut self.norm),
            (Segment::Head, &mut self.lm_head),
        ];
        let mut parts = vec![];
        for (segment, holder) in first.into_iter().chain(blocks).chain(last) {
            holder.visit_mut(&mut |part| parts.push((segment, part)));
        }
        parts
    }

    /// Linear layers of the blocks.
    pub fn linears(&self) -> impl Iterator<Item = (usize, &Linear)> {
        let parts = self.parts().into_iter();
        parts.filter_map(|(segment, part)| match (segment, part) {
            (Segment::Block(i), Part::Linear(layer)) => Some((i, layer)),
            _ => None,
        })
    }

    /// Layers that can carry adapters, in the order of the data: the token embedding, the linear
    /// layers of the blocks and the output head.
    #[must_use]
    pub fn adaptable(&self) -> Vec<Linear> {
        let mut layers = vec![self.embed_tokens.layer().clone()];
        layers.extend(self.linears().map(|(_, layer)| layer.clone()));
        layers.push(self.head_layer());
        layers
    }

    /// [`Self::adaptable`] as a plan of adapters needs to know it.
    ///
    /// # Errors
    /// Never for a model that was loaded.
    pub fn layer_infos(&self) -> Result<Vec<LayerInfo>> {
        let embedding = self.embed_tokens.layer();
        let (in_features, out_features) = embedding.dims()?;
        let mut infos = vec![LayerInfo {
            path: embedding.path().into(),
            kind: Kind::Embedding,
            block: None,
            in_features,
            out_features,
            tied_to: None,
        }];
        for (block, layer) in self.linears() {
            infos.push(info(layer, Some(block))?);
        }
        let mut head = info(&self.head_layer(), None)?;
        if self.lm_head.is_none() {
            head.tied_to = Some(embedding.path().into());
        }
        infos.push(head);
        Ok(infos)
    }

    /// Every tensor with its name in a checkpoint, those of packed matrices too.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let parts = self.parts().into_iter();
        let tensors = parts.flat_map(|(_, part)| part.tensors());
        tensors
            .map(|(name, tensor)| (name, tensor.clone()))
            .collect()
    }

    /// [`Self::tensors`], and the output head with its own name also where it is the embedding.
    #[must_use]
    pub fn named_weights(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.tensors();
        if self.lm_head.is_none() {
            let head = self.head().tensor().cloned();
            tensors.extend(head.map(|head| ("lm_head.weight".into(), head)));
        }
        tensors
    }

    /// Number of parameters.
    #[must_use]
    pub fn n_parameters(&self) -> usize {
        let parts = self.parts().into_iter();
        parts.map(|(_, part)| part.n_parameters()).sum()
    }

    /// Matrices with their paths, to be replaced.
    pub fn matrices_mut(&mut self) -> impl Iterator<Item = (String, &mut Weight)> {
        let parts = self.parts_mut().into_iter();
        parts.filter_map(|(_, part)| part.matrix())
    }

    /// Packed matrices with their paths.
    pub fn packed(&self) -> impl Iterator<Item = (&str, &Weight)> {
        let parts = self.parts().into_iter();
        let matrices = parts.filter_map(|(_, part)| Some((part.path(), part.matrix()?)));
        matrices.filter(|(_, weight)| matches!(weight, Weight::Packed(_)))
    }
}

fn info(layer: &Linear, block: Option<usize>) -> Result<LayerInfo> {
    let (out_features, in_features) = layer.dims()?;
    Ok(LayerInfo {
        path: layer.path().into(),
        kind: Kind::Linear,
        block,
        in_features,
        out_features,
        tied_to: None,
    })
}
