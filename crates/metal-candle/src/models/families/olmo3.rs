//! OLMo 3 (<https://arxiv.org/abs/2512.13961>): OLMo 2 with a window in three blocks of four, which have a
//! rotary embedding of their own.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes, olmo2};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use std::sync::Arc;

#[derive(Debug)]
struct Olmo3 {
    common: Common,
    attention: AttentionKind,
    windows: Windows,
    /// Blocks with the second rotary embedding.
    sliding: Blocks,
    /// Rotary embeddings of blocks that see every token, and of those with a window.
    ropes: [RopeConfig; 2],
}

const DEFAULTS: Defaults = Defaults {
    theta: 5e5,
    partial: None,
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    let defaults = ([DEFAULTS; 2], None);
    let windows = Windows::take(fields, sizes, Some(4096), Blocks::NotEvery(4))?;
    Ok(Arc::new(Olmo3 {
        attention: olmo2::attention(&common, fields.flag("attention_bias")?),
        sliding: windows.sliding().clone(),
        windows,
        ropes: RopeConfig::take_two(fields, sizes, common.heads, defaults)?,
        common,
    }))
}

impl Family for Olmo3 {
    fn frame(&self) -> Frame {
        self.common.frame(self.ropes.clone())
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            window: self.windows.of(i),
            rope: Some(usize::from(self.sliding.has(i))),
            ..self.attention
        };
        olmo2::block(&self.common, at, attention)
    }
}
