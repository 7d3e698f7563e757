//! gpt-oss (<https://arxiv.org/abs/2508.10925>): a mixture of experts in every block, sinks in every attention, a window in
//! every other block, and biases on all layers.

use super::common::Common;
use super::{Block, Family, Fields, Frame, Result, Scope, Sizes, Stacks};
use crate::models::Error;
use crate::models::layers::attention::AttentionKind;
use crate::models::layers::experts::{ExpertsKind, RouterKind};
use crate::models::layers::mlp::{Gating, MlpKind};
use crate::models::layers::rope::{Defaults, RopeConfig, Scaling, Yarn};
use crate::models::layers::window::{Blocks, Windows};
use metal_candle_kernels::{Activation, Clamp, SoftmaxOver};
use std::sync::Arc;

#[derive(Debug)]
struct GptOss {
    common: Common,
    windows: Windows,
    rope: RopeConfig,
    experts: ExpertsKind,
    bias: bool,
}

const DEFAULTS: Defaults = Defaults {
    theta: 150_000.0,
    partial: None,
};

/// Scaling where a file has none: `GptOssConfig.rope_parameters`.
const YARN: Yarn = Yarn {
    factor: 32.0,
    original: 4096.0,
    beta_fast: 32.0,
    beta_slow: 1.0,
    truncate: false,
    attention_factor: None,
    mscale: None,
};

const ROUTER: RouterKind = RouterKind {
    name: "router",
    bias: true,
};

pub(super) fn read(fields: &mut Fields<'_>, sizes: Sizes) -> Result<Arc<dyn Family>> {
    let common = Common::take(fields, sizes, false)?;
    Ok(Arc::new(GptOss {
        windows: Windows::take(fields, sizes, Some(128), Blocks::NotEvery(2))?,
        rope: take_rope(fields, sizes, &common)?,
        experts: take_experts(fields, common.mlp)?,
        bias: fields.flag_or("attention_bias", true)?,
        common,
    }))
}

fn take_rope(fields: &mut Fields<'_>, sizes: Sizes, common: &Common) -> Result<RopeConfig> {
    let mut spellings = ["rope_parameters", "rope_scaling"].iter();
    let is_said = spellings.any(|name| fields.peek(name).is_some());
    let mut rope = RopeConfig::take(fields, sizes, common.heads, DEFAULTS)?;
    if !is_said {
        rope.scaling = Scaling::Yarn(YARN);
    }
    check_context(fields, &rope)?;
    Ok(rope)
}

/// Check that the length of the pre-training is that of the rotary embedding, where the original's field has it too.
fn check_context(fields: &mut Fields<'_>, rope: &RopeConfig) -> Result<()> {
    const NAME: &str = "initial_context_length";
    match (fields.size(NAME)?, &rope.scaling) {
        (Some(length), Scaling::Yarn(yarn)) if length as f64 != yarn.original => {
            let expected = format!("original_max_position_embeddings, {}", yarn.original);
            Err(fields.wrong(NAME, expected, length))
        }
        _ => Ok(()),
    }
}

fn take_experts(fields: &mut Fields<'_>, mlp: MlpKind) -> Result<ExpertsKind> {
    let clamp = Clamp {
        alpha: fields.number("swiglu_alpha", 0.0..=1e3)?.unwrap_or(1.702),
        limit: fields.number("swiglu_limit", 1e-6..=1e6)?.unwrap_or(7.0),
    };
    if !matches!(mlp.gating, Gating::Of(Activation::Silu)) {
        let reason = "experts of this type have a gate of their own";
        return Err(Error::unsupported("hidden_act", "not silu", reason));
    }
    let expert = MlpKind {
        bias: true,
        gating: Gating::Clamped(clamp),
        ..mlp
    };
    let original = fields.size("experts_per_token")?;
    let kind = ExpertsKind::take(fields, 4, SoftmaxOver::Chosen, expert)?;
    let ours = ("num_experts_per_tok", Some(kind.per_token));
    fields.one_of(ours, ("experts_per_token", original))?;
    Ok(ExpertsKind {
        router: ROUTER,
        ..kind
    })
}

impl Family for GptOss {
    fn stacks(&self) -> Stacks {
        Stacks::Columns
    }

    fn frame(&self) -> Frame {
        self.common.frame([self.rope.clone()])
    }

    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>> {
        let attention = AttentionKind {
            qkv_bias: self.bias,
            o_bias: self.bias,
            sinks: true,
            window: self.windows.of(i),
            ..AttentionKind::plain(self.common.heads)
        };
        let mixture = at.below("mlp");
        self.common
            .with_experts(at, attention, (&mixture, self.experts))
    }
}
