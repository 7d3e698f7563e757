//! Qwen3 (<https://arxiv.org/abs/2505.09388>): norms on the heads of queries and keys instead of
//! biases.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::{AttentionKind, QkNorm};
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
struct Qwen3 {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
    bias: bool,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Qwen3 {
        windows: Windows::take_of_qwen(fields, sizes)?,
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        common,
        bias: fields.flag("attention_bias")?,
    }))
}

impl Family for Qwen3 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            qkv_bias: self.bias,
            o_bias: self.bias,
            qk_norm: QkNorm::Heads(self.common.norm),
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        self.common.pre_norm(at, attention, 1.0)
    }
}
