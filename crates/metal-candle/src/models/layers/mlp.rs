use super::projections::{Names, Projections};
use super::visit;
use crate::lora::{Linear, Mode};
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use crate::models::scope::Scope;
use crate::models::{Error, Result};
use candle_core::Tensor;
use metal_candle_kernels::{Activation, glu};

/// What a feed-forward layer has.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct MlpKind {
    /// Width inside.
    pub(in crate::models) inner: usize,
    pub(in crate::models) bias: bool,
    /// One layer `gate_up_proj` instead of two.
    pub(in crate::models) fused: bool,
}

impl MlpKind {
    /// Takes `intermediate_size`; without biases, each projection on its own.
    pub(in crate::models) fn take(fields: &mut Fields<'_>) -> Result<Self> {
        let inner = fields.size("intermediate_size")?;
        Ok(Self {
            inner: fields.required("intermediate_size", inner)?,
            bias: false,
            fused: false,
        })
    }
}

/// Takes `hidden_act`; `swish` is another name of `silu` in transformers.
pub(in crate::models) fn take_silu(fields: &mut Fields<'_>) -> Result<()> {
    match fields.text("hidden_act")?.unwrap_or("silu") {
        "silu" | "swish" => Ok(()),
        other => Err(Error::unsupported(
            "hidden_act",
            shown_name(other),
            "only silu is built",
        )),
    }
}

/// The feed-forward layer: `down(silu(gate(x)) * up(x))`.
#[derive(Debug)]
pub(in crate::models) struct Mlp {
    gate_up: Projections<2>,
    down_proj: Linear,
}

visit!(Mlp: gate_up, down_proj);

const NAMES: Names<2> = Names {
    each: ["gate_proj", "up_proj"],
    all: "gate_up_proj",
};

impl Mlp {
    /// Takes the layers from below `at`, of a model whose hidden state has width `d`.
    pub(in crate::models) fn load(at: &Scope<'_>, d: usize, kind: MlpKind) -> Result<Self> {
        let MlpKind { inner, bias, fused } = kind;
        Ok(Self {
            gate_up: Projections::load(at, NAMES, (d, [inner, inner]), (fused, bias))?,
            down_proj: at.linear("down_proj", (d, inner), bias)?,
        })
    }

    /// `(B, T, D)` -> `(B, T, D)`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let [gate, up] = self.gate_up.forward(x, mode)?;
        Ok(self
            .down_proj
            .forward(&glu(&gate, &up, Activation::Silu)?, mode)?)
    }
}
