//! Gemma 3, the text models (<https://arxiv.org/abs/2503.19786>): Gemma 2 with norms on the heads of queries
//! and keys instead of bounds, and a window in five blocks of six, which have a rotary embedding of their
//! own.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes, gemma2};
use crate::models::layers::attention::{AttentionKind, QkNorm};
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use std::sync::Arc;

#[derive(Debug)]
struct Gemma3 {
    common: Common,
    attention: AttentionKind,
    windows: Windows,
    /// Blocks with the second rotary embedding.
    sliding: Blocks,
    /// Rotary embeddings of blocks that see every token, and of those with a window.
    ropes: [RopeConfig; 2],
    logit_cap: Option<f64>,
}

const FULL: Defaults = Defaults {
    theta: 1e6,
    partial: None,
};

const SLIDING: Defaults = Defaults {
    theta: 1e4,
    partial: None,
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = gemma2::common(fields, sizes)?;
    let score_cap = gemma2::take_cap(fields, "attn_logit_softcapping", None)?;
    let pattern = fields.size("sliding_window_pattern")?.unwrap_or(6);
    let ropes = ([FULL, SLIDING], Some("rope_local_base_freq"));
    let windows = Windows::take(fields, sizes, Some(4096), Blocks::NotEvery(pattern))?;
    Ok(Arc::new(Gemma3 {
        attention: AttentionKind {
            qk_norm: QkNorm::Heads(common.norm),
            ..gemma2::attention(fields, &common, score_cap)?
        },
        sliding: windows.sliding().clone(),
        windows,
        ropes: RopeConfig::take_two(fields, sizes, common.heads, ropes)?,
        logit_cap: gemma2::take_cap(fields, "final_logit_softcapping", None)?,
        common,
    }))
}

impl Family for Gemma3 {
    fn frame(&self) -> Frame {
        Frame {
            logit_cap: self.logit_cap,
            ..gemma2::frame(&self.common, self.ropes.clone())
        }
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            window: self.windows.of(i),
            rope: Some(usize::from(self.sliding.has(i))),
            ..self.attention
        };
        gemma2::block(&self.common, at, attention)
    }
}
