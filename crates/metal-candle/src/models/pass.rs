use super::Result;
use super::layers::rope::{Positions, Rope};
use crate::layout::{Layout, Span};
use crate::lora::Context;
use candle_core::Device;
use metal_candle_kernels::AttentionMask;
use std::sync::Arc;

/// Everything that is the same for all blocks of one forward pass: where its tokens stand, and
/// what is computed with beside the weights.
#[derive(Debug)]
pub struct Pass {
    pub(super) layout: Layout,
    /// Positions for each of the model's rotary embeddings.
    pub(super) positions: Vec<Positions>,
    pub(super) mask: AttentionMask,
    pub(super) context: Context,
}

/// Rotary embeddings of a model, and lengths of the sequences of spans, on which angles may depend.
pub(super) type Angles<'a> = (&'a [Rope], &'a dyn Fn(Span) -> usize);

impl Pass {
    /// A pass over whole sequences, which see each other's tokens in no row.
    pub(super) fn whole(
        layout: &Layout,
        ropes: &[Rope],
        context: &Context,
        device: &Device,
    ) -> Result<Self> {
        let mut pass = Self::new(layout, (ropes, &|span| span.end()), context, device)?;
        pass.mask.spans = layout.attention_spans().map(Arc::from);
        Ok(pass)
    }

    /// A pass in which every token sees all before it in its row, or in the cache of its sequence.
    pub(super) fn new(
        layout: &Layout,
        (ropes, length): Angles<'_>,
        context: &Context,
        device: &Device,
    ) -> Result<Self> {
        let positions = ropes
            .iter()
            .map(|rope| rope.positions(layout, length, device));
        Ok(Self {
            layout: layout.clone(),
            positions: positions.collect::<Result<_>>()?,
            mask: AttentionMask {
                causal: true,
                ..AttentionMask::default()
            },
            context: context.clone(),
        })
    }
}
