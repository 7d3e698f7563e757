use super::{Block, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::RmsNorm;
use crate::models::layers::attention::{Attention, AttentionKind, Heads};
use crate::models::layers::block::TransformerBlock;
use crate::models::layers::experts::{Experts, ExpertsKind, FeedForward};
use crate::models::layers::mlp::{Mlp, MlpKind};
use crate::models::layers::norm::NormKind;
use crate::models::layers::rope::RopeConfig;

/// Settings that all families have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// Width of the hidden state.
    pub(super) d: usize,
    pub(super) heads: Heads,
    pub(super) mlp: MlpKind,
    pub(super) norm: NormKind,
    /// The output head is the embedding.
    pub(super) tied_head: bool,
}

impl Common {
    /// Takes the settings; `tied_head` where the file does not say.
    pub(super) fn take(fields: &mut Fields<'_>, sizes: Sizes, tied_head: bool) -> Result<Self> {
        Ok(Self {
            d: sizes.hidden,
            heads: Heads::take(fields, sizes.hidden)?,
            mlp: MlpKind::take(fields)?,
            norm: NormKind::take(fields)?,
            tied_head: fields.flag_or("tie_word_embeddings", tied_head)?,
        })
    }

    /// Frame without scales, with these rotary embeddings.
    pub(super) fn frame(&self, ropes: impl Into<Vec<RopeConfig>>) -> Frame {
        Frame {
            ropes: ropes.into(),
            ..Frame::plain(self.norm, self.tied_head)
        }
    }

    /// Norm `name` of the hidden state.
    pub(super) fn norm(&self, at: &Scope<'_>, name: &str) -> Result<Option<RmsNorm>> {
        at.norm(name, self.d, self.norm).map(Some)
    }

    pub(super) fn attention(&self, at: &Scope<'_>, kind: AttentionKind) -> Result<Attention> {
        Attention::load(&at.below("self_attn"), self.d, kind)
    }

    pub(super) fn mlp(&self, at: &Scope<'_>) -> Result<FeedForward> {
        Mlp::load(&at.below("mlp"), self.d, self.mlp).map(FeedForward::Mlp)
    }

    /// Llama's block: norms before attention and feed-forward layer.
    pub(super) fn pre_norm(
        &self,
        at: &Scope<'_>,
        attention: AttentionKind,
        branch_scale: f64,
    ) -> Result<Box<dyn Block>> {
        self.pre_normed(at, attention, branch_scale, || self.mlp(at))
    }

    /// [`Self::pre_norm`] with the mixture of experts that is at `mixture`.
    pub(super) fn with_experts(
        &self,
        at: &Scope<'_>,
        attention: AttentionKind,
        (mixture, kind): (&Scope<'_>, ExpertsKind),
    ) -> Result<Box<dyn Block>> {
        self.pre_normed(at, attention, 1.0, || {
            Experts::load(mixture, self.d, kind).map(FeedForward::Experts)
        })
    }

    fn pre_normed(
        &self,
        at: &Scope<'_>,
        attention: AttentionKind,
        branch_scale: f64,
        mlp: impl FnOnce() -> Result<FeedForward>,
    ) -> Result<Box<dyn Block>> {
        Ok(Box::new(TransformerBlock {
            before_attention: self.norm(at, "input_layernorm")?,
            attention: self.attention(at, attention)?,
            after_attention: None,
            before_mlp: self.norm(at, "post_attention_layernorm")?,
            mlp: mlp()?,
            after_mlp: None,
            branch_scale,
        }))
    }
}
