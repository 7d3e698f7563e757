//! Qwen2 and Qwen2.5 (<https://arxiv.org/abs/2407.10671>): biases on queries, keys and values.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use std::sync::Arc;

#[derive(Debug)]
struct Qwen2 {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Qwen2 {
        windows: Windows::take_of_qwen(fields, sizes)?,
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        common,
    }))
}

impl Family for Qwen2 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            qkv_bias: true,
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        self.common.pre_norm(at, attention, 1.0)
    }
}
