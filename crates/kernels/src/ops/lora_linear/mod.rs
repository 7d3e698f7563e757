//! A frozen linear layer with a low-rank adapter (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>):
//! `y = x W^T + bias + scale * (dropout(x) A^T) B^T`.
//!
//! `x` is `(.., K)`, `W` is `(N, K)`, `A` is `(R, K)`, `B` is `(N, R)`, `bias` is `(N)`. The result
//! has the dtype of `x`; products accumulate in float32.
//!
//! Backward: with `h = dropout(x) A^T` and `g = scale * dy`, `dB = g^T h`, `dA = (g B)^T dropout(x)`,
//! `dx = dy W + dropout'(g B A)`. `W` and `bias` are frozen here: no gradient is computed for them.
//! `h` is kept from forward, the dropout mask is drawn again from its seed. A weight in half
//! precision, or packed, is widened a panel of rows at a time.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use crate::ops::linear;
use crate::{Dropout, Error, Result, Weight};
use candle_core::Tensor;

const DEVICES: Devices<KernelFn<LoraLinear, 3>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// The adapter of one linear layer.
#[derive(Clone, Copy, Debug)]
pub struct LoraWeights<'a> {
    /// Down projection, `(R, K)`.
    pub a: &'a Tensor,
    /// Up projection, `(N, R)`.
    pub b: &'a Tensor,
    /// Factor of the adapter's product: `alpha / R`, or `alpha / sqrt(R)` for rsLoRA.
    pub scale: f64,
    /// Dropout on the adapter's input, while training.
    pub dropout: Option<Dropout>,
}

/// `x W^T + bias + scale * (dropout(x) A^T) B^T`.
///
/// # Errors
/// When a shape does not fit the others.
pub fn lora_linear(
    x: &Tensor,
    weight: &Weight,
    bias: Option<&Tensor>,
    lora: LoraWeights<'_>,
) -> Result<Tensor> {
    check_shapes(x, weight, bias, lora)?;
    let others = [lora.a, lora.b].into_iter().chain(weight.tensor());
    match DEVICES.kernel("lora_linear", x, others) {
        Some(run) => {
            let op = LoraLinear::new(weight, bias, lora);
            run(op, [x, lora.a, lora.b]).map(|[y]| y)
        }
        None => reference::forward(x, weight, bias, lora),
    }
}

/// Refuses shapes that do not fit each other.
pub(crate) fn check_shapes(
    x: &Tensor,
    weight: &Weight,
    bias: Option<&Tensor>,
    lora: LoraWeights<'_>,
) -> Result<()> {
    let (n, k) = weight.dims()?;
    linear::check_shapes("lora_linear", x, weight, bias)?;
    let (r, k_a) = lora.a.dims2()?;
    if k_a != k {
        return Err(Error::shape(
            "lora_linear",
            "A",
            format!("({r}, {k})"),
            lora.a,
        ));
    }
    if lora.b.dims() != [n, r] {
        return Err(Error::shape(
            "lora_linear",
            "B",
            format!("({n}, {r})"),
            lora.b,
        ));
    }
    Ok(())
}

/// The layer of `x`, `A` and `B`. Nothing but `h = dropout(x) A^T` is kept for backward.
struct LoraLinear {
    /// `(N, K)`.
    weight: Weight,
    /// `(N)`.
    bias: Option<Tensor>,
    scale: f64,
    dropout: Option<Dropout>,
}

impl LoraLinear {
    fn new(weight: &Weight, bias: Option<&Tensor>, lora: LoraWeights<'_>) -> Self {
        Self {
            weight: weight.detach(),
            bias: bias.map(Tensor::detach),
            scale: lora.scale,
            dropout: lora.dropout,
        }
    }
}

impl Operation for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }
}
