use super::projections::{Names, Projections};
use super::visit;
use crate::lora::{Context, Linear, PlainLayer};
use crate::models::config::fields::Fields;
use crate::models::json::shown_name;
use crate::models::scope::Scope;
use crate::models::{Error, Result};
use candle_core::Tensor;
use metal_candle_kernels::tape::add;
use metal_candle_kernels::{Activation, Clamp, clamped_glu, gated_linear, glu, linear_onto};

/// Kind of a feed-forward layer.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct MlpKind {
    /// Width inside.
    pub(in crate::models) inner: usize,
    pub(in crate::models) bias: bool,
    /// One layer `gate_up_proj` instead of two.
    pub(in crate::models) fused: bool,
    pub(in crate::models) gating: Gating,
    pub(in crate::models) names: MlpNames,
}

/// Way in which the gate acts on the upper projection.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) enum Gating {
    /// `activation(gate) * up`.
    Of(Activation),
    /// gpt-oss's, of bounded inputs.
    Clamped(Clamp),
}

/// Names of the projections, where each is a layer.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct MlpNames {
    pub(in crate::models) gate: &'static str,
    pub(in crate::models) up: &'static str,
    pub(in crate::models) down: &'static str,
}

impl MlpNames {
    /// Names of Llama.
    const LLAMA: Self = Self {
        gate: "gate_proj",
        up: "up_proj",
        down: "down_proj",
    };
}

impl MlpKind {
    /// Takes `intermediate_size` and `hidden_act`; without biases, each projection on its own.
    pub(in crate::models) fn take(fields: &mut Fields<'_>) -> Result<Self> {
        let inner = fields.size("intermediate_size")?;
        Ok(Self {
            inner: fields.required("intermediate_size", inner)?,
            bias: false,
            fused: false,
            gating: Gating::Of(take_activation(fields, "hidden_act", Activation::Silu)?),
            names: MlpNames::LLAMA,
        })
    }
}

/// Takes the activation from the field `name`; `default` where it is absent.
pub(in crate::models) fn take_activation(
    fields: &mut Fields<'_>,
    name: &'static str,
    default: Activation,
) -> Result<Activation> {
    match fields.text(name)? {
        None => Ok(default),
        // The second is another name of the first in transformers.
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
        Some(other) => Err(Error::unsupported(
            name,
            shown_name(other),
            "activations that are built: silu, gelu_pytorch_tanh",
        )),
    }
}

/// The feed-forward layer: `down(activation(gate(x)) * up(x))`.
#[derive(Debug)]
pub(in crate::models) struct Mlp {
    gate_up: Projections<2>,
    down_proj: Linear,
    gating: Gating,
}

visit!(Mlp: gate_up, down_proj);

impl Mlp {
    /// Takes the layers from below `at`, of a model whose hidden state has width `d`.
    pub(in crate::models) fn load(at: &Scope<'_>, d: usize, kind: MlpKind) -> Result<Self> {
        let MlpKind {
            inner,
            bias,
            fused,
            gating,
            names,
        } = kind;
        let gate_up = Names {
            each: [names.gate, names.up],
            all: "gate_up_proj",
        };
        Ok(Self {
            gate_up: Projections::load(at, gate_up, (d, [inner, inner]), (fused, bias))?,
            down_proj: at.linear(names.down, (d, inner), bias)?,
            gating,
        })
    }

    /// `(B, T, D)` -> `(B, T, D)`.
    pub(super) fn forward(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        Ok(self.down_proj.forward(&self.gated(x, context)?, context)?)
    }

    /// [`Self::forward`], added to `residual`.
    pub(super) fn forward_onto(
        &self,
        residual: &Tensor,
        x: &Tensor,
        context: &Context,
    ) -> Result<Tensor> {
        let gated = self.gated(x, context)?;
        match self.down_proj.plain(context)? {
            Some(layer) => Ok(linear_onto(residual, &gated, layer.as_layer())?),
            None => Ok(add(residual, &self.down_proj.forward(&gated, context)?)?),
        }
    }

    /// `(B, T, D)` -> `(B, T, inner)`.
    fn gated(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        if let (Gating::Of(activation), Some(layers)) = (self.gating, self.gate_up.plain(context)?)
        {
            let layers = layers.each_ref().map(PlainLayer::as_layer);
            return Ok(gated_linear(x, layers, activation)?);
        }
        let [gate, up] = self.gate_up.forward(x, context)?;
        Ok(match self.gating {
            Gating::Of(activation) => glu(&gate, &up, activation)?,
            Gating::Clamped(clamp) => clamped_glu(&gate, &up, clamp)?,
        })
    }
}
