//! OLMo 2 (<https://arxiv.org/abs/2501.00656>): norms behind attention and feed-forward layer only, and
//! over queries and keys, all heads together.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::{AttentionKind, QkNorm};
use crate::models::layers::block::TransformerBlock;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
struct Olmo2 {
    common: Common,
    attention: AttentionKind,
    rope: RopeConfig,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    Windows::take_none(fields, sizes)?;
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Olmo2 {
        attention: attention(&common, fields.flag("attention_bias")?),
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        common,
    }))
}

impl Family for Olmo2 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, _: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        block(&self.common, at, self.attention)
    }
}

pub(super) fn attention(common: &Common, bias: bool) -> AttentionKind {
    AttentionKind {
        qkv_bias: bias,
        o_bias: bias,
        qk_norm: QkNorm::Whole(common.norm),
        ..AttentionKind::plain(common.heads)
    }
}

pub(super) fn block(
    common: &Common,
    at: &Scope<'_>,
    attention: AttentionKind,
) -> Result<Box<dyn Block>> {
    Ok(Box::new(TransformerBlock {
        before_attention: None,
        attention: common.attention(at, attention)?,
        after_attention: common.norm(at, "post_attention_layernorm")?,
        before_mlp: None,
        mlp: common.mlp(at)?,
        after_mlp: common.norm(at, "post_feedforward_layernorm")?,
        branch_scale: 1.0,
    }))
}
