//! Mistral 7B and its kin (<https://arxiv.org/abs/2310.06825>): no biases, heads of any width, and in
//! the first version a window.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use std::sync::Arc;

#[derive(Debug)]
struct Mistral {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Mistral {
        windows: Windows::take(fields, sizes, Some(4096), Blocks::All)?,
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        common,
    }))
}

impl Family for Mistral {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        self.common.pre_norm(at, attention, 1.0)
    }
}
