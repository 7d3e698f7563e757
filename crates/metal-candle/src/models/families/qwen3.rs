//! Qwen3 (<https://arxiv.org/abs/2505.09388>): norms on the heads of queries and keys instead of
//! biases.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::{AttentionKind, QkNorm};
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Qwen3 {
    pub(super) common: Common,
    windows: Windows,
    rope: RopeConfig,
    bias: bool,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let windows = Windows::take_of_qwen(fields, sizes)?;
    Ok(Arc::new(Qwen3::take(fields, sizes, windows)?))
}

impl Qwen3 {
    pub(super) fn take(fields: &mut Fields<'_>, sizes: Sizes, windows: Windows) -> Result<Self> {
        let common = Common::take(fields, sizes, false)?;
        Ok(Self {
            windows,
            rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
            common,
            bias: fields.flag("attention_bias")?,
        })
    }

    /// Attention of a block.
    pub(super) fn attention(&self, block: usize) -> AttentionKind {
        AttentionKind {
            qkv_bias: self.bias,
            o_bias: self.bias,
            qk_norm: QkNorm::Heads(self.common.norm),
            window: self.windows.of(block),
            ..AttentionKind::plain(self.common.heads)
        }
    }
}

impl Family for Qwen3 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        self.common.pre_norm(at, self.attention(i), 1.0)
    }
}
