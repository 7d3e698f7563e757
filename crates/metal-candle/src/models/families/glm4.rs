//! GLM-4-0414 (<https://arxiv.org/abs/2406.12793>): norms before and behind attention and feed-forward
//! layer, and half of each head rotated, in neighbouring pairs.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::block::TransformerBlock;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use metal_candle_kernels::RopePairs;
use std::sync::Arc;

#[derive(Debug)]
struct Glm4 {
    common: Common,
    attention: AttentionKind,
    rope: RopeConfig,
}

const DEFAULTS: Defaults = Defaults {
    theta: 1e4,
    partial: Some(0.5),
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    Windows::take_none(fields, sizes)?;
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Glm4 {
        attention: AttentionKind {
            qkv_bias: fields.flag_or("attention_bias", true)?,
            rope_pairs: RopePairs::Interleaved,
            ..AttentionKind::plain(common.heads)
        },
        rope: RopeConfig::take(fields, sizes, common.heads, DEFAULTS)?,
        common: Common {
            mlp: MlpKind {
                fused: true,
                ..common.mlp
            },
            ..common
        },
    }))
}

impl Family for Glm4 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, _: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let common = &self.common;
        Ok(Box::new(TransformerBlock {
            before_attention: common.norm(at, "input_layernorm")?,
            attention: common.attention(at, self.attention)?,
            after_attention: common.norm(at, "post_self_attn_layernorm")?,
            before_mlp: common.norm(at, "post_attention_layernorm")?,
            mlp: common.mlp(at)?,
            after_mlp: common.norm(at, "post_mlp_layernorm")?,
            branch_scale: 1.0,
        }))
    }
}
