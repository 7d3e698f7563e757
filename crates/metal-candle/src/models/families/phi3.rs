//! Phi-3, Phi-4 and Phi-4-mini (<https://arxiv.org/abs/2404.14219>): one layer for queries, keys and
//! values, and one for both inputs of the feed-forward layer.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use std::sync::Arc;

#[derive(Debug)]
struct Phi3 {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
}

const DEFAULTS: Defaults = Defaults {
    theta: 10_000.0,
    partial: Some(1.0),
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(Phi3 {
        windows: Windows::take(fields, sizes, None, Blocks::All)?,
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

impl Family for Phi3 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            fused: true,
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        self.common.pre_norm(at, attention, 1.0)
    }
}
