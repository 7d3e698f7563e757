//! Granite 3, dense (<https://arxiv.org/abs/2407.13739>): factors on embedding, attention, branches and
//! logits.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::embedding::EmbeddingScale;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
struct Granite {
    common: Common,
    attention: AttentionKind,
    rope: RopeConfig,
    embedding_multiplier: f64,
    residual_multiplier: f64,
    logits_scaling: f64,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    Windows::take_none(fields, sizes)?;
    let common = Common::take(fields, sizes, false)?;
    let bias = fields.flag("attention_bias")?;
    let mut factor = |name| -> Result<f64> {
        let factor = fields.number(name, 1e-6..=1e6)?;
        Ok(factor.unwrap_or(1.0))
    };
    Ok(Arc::new(Granite {
        embedding_multiplier: factor("embedding_multiplier")?,
        residual_multiplier: factor("residual_multiplier")?,
        logits_scaling: factor("logits_scaling")?,
        attention: AttentionKind {
            qkv_bias: bias,
            o_bias: bias,
            scores: factor("attention_multiplier")?.into(),
            ..AttentionKind::plain(common.heads)
        },
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        common: Common {
            mlp: MlpKind {
                bias: fields.flag("mlp_bias")?,
                ..common.mlp
            },
            ..common
        },
    }))
}

impl Family for Granite {
    fn frame(&self) -> Frame {
        Frame {
            embedding_scale: EmbeddingScale::Exact(self.embedding_multiplier),
            logit_scale: 1.0 / self.logits_scaling,
            ..self.common.frame([self.rope.clone()])
        }
    }

    fn block(&self, _: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let scale = self.residual_multiplier;
        self.common.pre_norm(at, self.attention, scale)
    }
}
