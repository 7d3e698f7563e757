//! Mixtral (<https://arxiv.org/abs/2401.04088>): Mistral with a mixture of experts in every block, in names of its own.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::experts::ExpertsKind;
use crate::models::layers::mlp::{MlpKind, MlpNames};
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use metal_candle_kernels::SoftmaxOver;
use std::sync::Arc;

const NAMES: MlpNames = MlpNames {
    gate: "w1",
    up: "w3",
    down: "w2",
};

const DEFAULTS: Defaults = Defaults {
    theta: 1e6,
    partial: None,
};

#[derive(Debug)]
struct Mixtral {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
    experts: ExpertsKind,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    let expert = MlpKind {
        names: NAMES,
        ..common.mlp
    };
    Ok(Arc::new(Mixtral {
        windows: Windows::take(fields, sizes, None, Blocks::All)?,
        rope: RopeConfig::take(fields, sizes, common.heads, DEFAULTS)?,
        experts: ExpertsKind::take(fields, 2, SoftmaxOver::Chosen, expert)?,
        common,
    }))
}

impl Family for Mixtral {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        let mixture = at.below("block_sparse_moe");
        self.common
            .with_experts(at, attention, (&mixture, self.experts))
    }
}
