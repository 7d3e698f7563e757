//! Llama 2 and 3 (<https://arxiv.org/abs/2407.21783>).

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
struct Llama {
    common: Common,
    attention: AttentionKind,
    rope: RopeConfig,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    Windows::take_none(fields, sizes)?;
    let common = Common::take(fields, sizes, false)?;
    let bias = fields.flag("attention_bias")?;
    Ok(Arc::new(Llama {
        attention: AttentionKind {
            qkv_bias: bias,
            o_bias: bias,
            ..AttentionKind::plain(common.heads)
        },
        common: Common {
            mlp: MlpKind {
                bias: fields.flag("mlp_bias")?,
                ..common.mlp
            },
            ..common
        },
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
    }))
}

impl Family for Llama {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, _: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        self.common.pre_norm(at, self.attention, 1.0)
    }
}
