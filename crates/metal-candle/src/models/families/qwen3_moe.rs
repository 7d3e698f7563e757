//! Qwen3 with mixtures of experts (<https://arxiv.org/abs/2505.09388>): some blocks, or all, have many feed-forward layers,
//! of which a router chooses a few for each token.

use super::qwen3::Qwen3;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::experts::ExpertsKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::window::{Blocks, Windows};
use metal_candle_kernels::SoftmaxOver;
use std::sync::Arc;

#[derive(Debug)]
struct Qwen3Moe {
    dense: Qwen3,
    experts: ExpertsKind,
    /// Every how many blocks one has experts.
    step: usize,
    /// Blocks that have none all the same.
    plain: Vec<usize>,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    // Which blocks have a window is not asked: where there is one, all have it.
    fields.take("max_window_layers");
    let windows = Windows::take_switched(fields, sizes, Some(4096), Blocks::All)?;
    let dense = Qwen3::take(fields, sizes, windows)?;
    Ok(Arc::new(Qwen3Moe {
        experts: take_experts(fields, dense.common.mlp)?,
        step: fields.size("decoder_sparse_step")?.unwrap_or(1),
        plain: take_plain(fields, sizes)?,
        dense,
    }))
}

fn take_experts(fields: &mut Fields<'_>, mlp: MlpKind) -> Result<ExpertsKind> {
    let inner = fields.size("moe_intermediate_size")?.unwrap_or(768);
    let softmax = match fields.flag("norm_topk_prob")? {
        true => SoftmaxOver::Chosen,
        false => SoftmaxOver::All,
    };
    ExpertsKind::take(fields, 8, softmax, MlpKind { inner, ..mlp })
}

fn take_plain(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Vec<usize>> {
    let range = 0.0..=sizes.n_blocks as f64;
    let blocks = fields.numbers("mlp_only_layers", &range)?;
    let blocks = blocks.unwrap_or_default().into_iter();
    Ok(blocks.map(|block| block as usize).collect())
}

impl Qwen3Moe {
    fn has_experts(&self, block: usize) -> bool {
        (block + 1).is_multiple_of(self.step) && !self.plain.contains(&block)
    }
}

impl Family for Qwen3Moe {
    fn frame(&self) -> Frame {
        self.dense.frame()
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        if !self.has_experts(i) {
            return self.dense.block(i, at);
        }
        let mixture = (&at.below("mlp"), self.experts);
        let attention = self.dense.attention(i);
        self.dense.common.with_experts(at, attention, mixture)
    }
}
