//! Gemma 2 (<https://arxiv.org/abs/2408.00118>): norms before and behind attention and feed-forward layer,
//! bounded scores and logits, and a window in every other block.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::block::TransformerBlock;
use crate::models::layers::embedding::EmbeddingScale;
use crate::models::layers::mlp::{Gating, MlpKind, take_activation};
use crate::models::layers::norm::NormKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use metal_candle_kernels::{Activation, AttentionScores};
use std::sync::Arc;

#[derive(Debug)]
struct Gemma2 {
    common: Common,
    attention: AttentionKind,
    windows: Windows,
    rope: RopeConfig,
    logit_cap: Option<f64>,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = common(fields, sizes)?;
    let score_cap = take_cap(fields, "attn_logit_softcapping", Some(50.0))?;
    Ok(Arc::new(Gemma2 {
        attention: attention(fields, &common, score_cap)?,
        windows: Windows::take(fields, sizes, Some(4096), Blocks::NotEvery(2))?,
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        logit_cap: take_cap(fields, "final_logit_softcapping", Some(30.0))?,
        common,
    }))
}

impl Family for Gemma2 {
    fn frame(&self) -> Frame {
        Frame {
            logit_cap: self.logit_cap,
            ..frame(&self.common, [self.rope.clone()])
        }
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            window: self.windows.of(i),
            ..self.attention
        };
        block(&self.common, at, attention)
    }
}

/// Settings of Gemma; `hidden_act` is in published files too, and is not what acts.
pub(super) fn common(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Common> {
    let activation = take_activation(fields, "hidden_activation", Activation::GeluTanh)?;
    let common = Common::take(fields, sizes, true)?;
    Ok(Common {
        mlp: MlpKind {
            gating: Gating::Of(activation),
            ..common.mlp
        },
        norm: NormKind {
            plus_one: true,
            ..common.norm
        },
        ..common
    })
}

/// Takes a bound, which is `default` where it is absent, and none where it is null.
pub(super) fn take_cap(
    fields: &mut Fields<'_>,
    name: &str,
    default: Option<f64>,
) -> Result<Option<f64>> {
    let cap = fields.number(name, 1e-6..=1e6)?;
    Ok(fields.or(name, cap, default))
}

pub(super) fn attention(
    fields: &mut Fields<'_>,
    common: &Common,
    score_cap: Option<f64>,
) -> Result<AttentionKind> {
    let scalar = fields.number("query_pre_attn_scalar", 1e-6..=1e6)?;
    let bias = fields.flag("attention_bias")?;
    Ok(AttentionKind {
        qkv_bias: bias,
        o_bias: bias,
        scores: AttentionScores {
            softcap: score_cap,
            ..(1.0 / scalar.unwrap_or(256.0).sqrt()).into()
        },
        ..AttentionKind::plain(common.heads)
    })
}

pub(super) fn frame(common: &Common, ropes: impl Into<Vec<RopeConfig>>) -> Frame {
    Frame {
        embedding_scale: EmbeddingScale::Rounded((common.d as f64).sqrt()),
        ..common.frame(ropes)
    }
}

pub(super) fn block(
    common: &Common,
    at: &Scope<'_>,
    attention: AttentionKind,
) -> Result<Box<dyn Block>> {
    Ok(Box::new(TransformerBlock {
        before_attention: common.norm(at, "input_layernorm")?,
        attention: common.attention(at, attention)?,
        after_attention: common.norm(at, "post_attention_layernorm")?,
        before_mlp: common.norm(at, "pre_feedforward_layernorm")?,
        mlp: common.mlp(at)?,
        after_mlp: common.norm(at, "post_feedforward_layernorm")?,
        branch_scale: 1.0,
    }))
}
