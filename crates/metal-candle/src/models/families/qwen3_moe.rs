//! Qwen3 with mixtures of experts (<https://arxiv.org/abs/2505.09388>): some blocks, or all, have many feed-forward layers,
//! of which a router chooses a few for each token.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::{AttentionKind, QkNorm};
use crate::models::layers::experts::ExpertsKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use metal_candle_kernels::SoftmaxOver;
use std::sync::Arc;

#[derive(Debug)]
struct Qwen3Moe {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
    bias: bool,
    experts: ExpertsKind,
    /// Every how many blocks one has experts.
    step: usize,
    /// Blocks that have none all the same.
    plain: Vec<usize>,
}

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    // Which blocks have a window is not asked: where there is one, all have it.
    fields.take("max_window_layers");
    Ok(Arc::new(Qwen3Moe {
        windows: Windows::take_switched(fields, sizes, Some(4096), Blocks::All)?,
        rope: RopeConfig::take(fields, sizes, common.heads, Defaults::default())?,
        bias: fields.flag("attention_bias")?,
        experts: take_experts(fields, common.mlp)?,
        step: fields.size("decoder_sparse_step")?.unwrap_or(1),
        plain: take_plain(fields, sizes)?,
        common,
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
        match self.has_experts(i) {
            true => {
                let mixture = at.below("mlp");
                self.common
                    .with_experts(at, attention, (&mixture, self.experts))
            }
            false => self.common.pre_norm(at, attention, 1.0),
        }
    }
}
