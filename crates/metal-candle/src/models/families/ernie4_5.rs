//! ERNIE 4.5, dense (<https://yiyan.baidu.com/blog/publication/ERNIE_Technical_Report.pdf>): heads rotated
//! in neighbouring pairs.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes};
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::mlp::MlpKind;
use crate::models::layers::rope::{Defaults, RopeConfig};
use crate::models::layers::window::Windows;
use metal_candle_kernels::RopePairs;
use std::sync::Arc;

#[derive(Debug)]
struct Ernie45 {
    common: Common,
    attention: AttentionKind,
    rope: RopeConfig,
}

const DEFAULTS: Defaults = Defaults {
    theta: 5e5,
    partial: None,
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    Windows::take_none(fields, sizes)?;
    let common = Common::take(fields, sizes, true)?;
    let bias = fields.flag("use_bias")?;
    Ok(Arc::new(Ernie45 {
        attention: AttentionKind {
            qkv_bias: bias,
            o_bias: bias,
            rope_pairs: RopePairs::Interleaved,
            ..AttentionKind::plain(common.heads)
        },
        rope: RopeConfig::take(fields, sizes, common.heads, DEFAULTS)?,
        common: Common {
            mlp: MlpKind { bias, ..common.mlp },
            ..common
        },
    }))
}

impl Family for Ernie45 {
    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, _: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        self.common.pre_norm(at, self.attention, 1.0)
    }
}
