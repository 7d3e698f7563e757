//! SmolLM3 (<https://huggingface.co/blog/smollm3>): every fourth block has no rotary embedding.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::{Blocks, Windows};
use std::sync::Arc;

#[derive(Debug)]
struct SmolLm3 {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
    /// Blocks that rotate nothing.
    unrotated: Blocks,
    bias: bool,
}

const DEFAULTS: Defaults = Defaults {
    theta: 2e6,
    partial: None,
};

/// From one block that rotates nothing to the next.
const INTERVAL: usize = 4;

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, true)?;
    let unrotated = take_unrotated(fields, sizes)?;
    // A setting of Qwen, which is in published files and acts nowhere.
    fields.take("max_window_layers");
    Ok(Arc::new(SmolLm3 {
        windows: Windows::take_switched(fields, sizes, None, unrotated.clone())?,
        rope: RopeConfig::take(fields, sizes, common.heads, DEFAULTS)?,
        unrotated,
        bias: fields.flag("attention_bias")?,
        common: Common {
            mlp: MlpKind {
                bias: fields.flag("mlp_bias")?,
                ..common.mlp
            },
            ..common
        },
    }))
}

/// `no_rope_layers`, in which 1 is a block that is rotated, or else `no_rope_layer_interval`.
fn take_unrotated(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Blocks> {
    let interval = fields.size("no_rope_layer_interval")?.unwrap_or(INTERVAL);
    match fields.numbers("no_rope_layers", &(0.0..=1.0))? {
        None => Ok(Blocks::Every(interval)),
        Some(rotated) if rotated.len() == sizes.n_blocks => Ok(Blocks::listed(
            rotated.iter().map(|is| *is == 0.0).collect(),
            Blocks::Every(INTERVAL),
        )),
        Some(rotated) => {
            let expected = format!("a list of {}, one for each block", sizes.n_blocks);
            Err(fields.wrong(
                "no_rope_layers",
                expected,
                format!("{} of them", rotated.len()),
            ))
        }
    }
}

impl Family for SmolLm3 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            qkv_bias: self.bias,
            o_bias: self.bias,
            window: self.windows.of(i),
            rope: (!self.unrotated.has(i)).then_some(0),
            ..AttentionKind::plain(self.common.heads)
        };
        self.common.pre_norm(at, attention, 1.0)
    }
}
