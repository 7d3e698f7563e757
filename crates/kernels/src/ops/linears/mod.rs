//! Products of one input with several layers, and what follows them, which share a launch on Apple GPUs where there are few
//! rows: the tokens of generation.
//!
//! [`linears`] is [`linear`] of every layer, or [`lora_linear()`], [`gated_linear`] is [`glu`] of two, and [`linear_onto`] is the
//! sum of one and a residual: that is how they are computed elsewhere, and where an input is tracked. The products of adapters
//! take a launch of their own for all `x A^T`; what follows is a part of the launch of the weights.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;

use crate::graph::elementwise::add;
use crate::graph::path::{Devices, metal};
use crate::ops::glu::{Activation, glu};
use crate::ops::linear::{check_shapes, linear};
use crate::ops::lora_linear::{self, LoraWeights, lora_linear};
use crate::{Error, Result, Weight};
use candle_core::{DType, Result as CandleResult, Tensor};

/// A linear layer, with an adapter or without.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// `(N, K)`.
    pub weight: &'a Weight,
    /// `(N)`.
    pub bias: Option<&'a Tensor>,
    /// What is added by an adapter, [`lora_linear()`].
    pub lora: Option<LoraWeights<'a>>,
}

/// Computation that follows the products in their launch.
#[derive(Clone, Copy)]
enum Then<'a> {
    Nothing,
    Gate(Activation),
    Add(&'a Tensor),
}

/// The results, or `None` where one launch cannot give them.
type Together = fn(&Tensor, &[Layer<'_>], Then<'_>) -> CandleResult<Option<Vec<Tensor>>>;

const DEVICES: Devices<Together> = Devices {
    cpu: None,
    metal: metal!(metal::together),
    cuda: None,
};

/// Rows of `x` at most.
const MOST_ROWS: usize = 8;

/// `x W^T + bias` of every layer, with its adapter: `(.., N)` each.
///
/// # Errors
/// As [`linear`] and [`lora_linear()`].
pub fn linears<const N: usize>(x: &Tensor, layers: [Layer<'_>; N]) -> Result<[Tensor; N]> {
    let wrong = |_| Error::Candle(candle_core::Error::msg("a layer without a result").bt());
    let results = computed(x, &layers, Then::Nothing)?;
    results.try_into().map_err(wrong)
}

/// `activation(gate(x)) * up(x)`, of a gate and what it lets through.
///
/// # Errors
/// As [`linears`], and when the layers have different widths.
pub fn gated_linear(x: &Tensor, layers: [Layer<'_>; 2], activation: Activation) -> Result<Tensor> {
    one(computed(x, &layers, Then::Gate(activation))?)
}

/// `residual + x W^T + bias`, with the layer's adapter.
///
/// # Errors
/// As [`linears`], and when `residual` has not the shape of the product.
pub fn linear_onto(residual: &Tensor, x: &Tensor, layer: Layer<'_>) -> Result<Tensor> {
    let (n, _) = layer.weight.dims()?;
    let lead = x.dims().split_last().map_or(&[][..], |(_, lead)| lead);
    if residual.dims() != [lead, &[n]].concat() {
        let expected = format!("{:?}", [lead, &[n]].concat());
        return Err(Error::shape("linear_onto", "residual", expected, residual));
    }
    one(computed(x, &[layer], Then::Add(residual))?)
}

fn one(results: Vec<Tensor>) -> Result<Tensor> {
    let [result] = <[Tensor; 1]>::try_from(results).map_err(|results| {
        let error = format!("{} results of one product", results.len());
        candle_core::Error::msg(error).bt()
    })?;
    Ok(result)
}

fn computed(x: &Tensor, layers: &[Layer<'_>], then: Then<'_>) -> Result<Vec<Tensor>> {
    for layer in layers {
        match layer.lora {
            Some(lora) => lora_linear::check_shapes(x, layer.weight, layer.bias, lora)?,
            None => check_shapes("linears", x, layer.weight, layer.bias)?,
        }
    }
    match together(x, layers, then)? {
        Some(results) => Ok(results),
        None => apart(x, layers, then),
    }
}

/// A launch for each operation.
fn apart(x: &Tensor, layers: &[Layer<'_>], then: Then<'_>) -> Result<Vec<Tensor>> {
    let products = layers.iter().map(|layer| match layer.lora {
        Some(lora) => lora_linear(x, layer.weight, layer.bias, lora),
        None => linear(x, layer.weight, layer.bias),
    });
    let products = products.collect::<Result<Vec<_>>>()?;
    match (then, &products[..]) {
        (Then::Gate(activation), [gate, up]) => Ok(vec![glu(gate, up, activation)?]),
        (Then::Add(residual), [product]) => Ok(vec![add(residual, product)?]),
        _ => Ok(products),
    }
}

fn together(x: &Tensor, layers: &[Layer<'_>], then: Then<'_>) -> Result<Option<Vec<Tensor>>> {
    let rows = x.elem_count() / x.dims().last().copied().unwrap_or(1).max(1);
    let are_plain = layers.iter().all(|layer| layer.lora.is_none_or(is_plain));
    let fits = are_plain && rows <= MOST_ROWS && then.fits(x, layers)? && !is_tracked(x, layers);
    match (x.device().is_metal() && fits).then(|| DEVICES.kernel("linears", x, [])) {
        Some(Some(run)) => Ok(run(x, layers, then)?),
        _ => Ok(None),
    }
}

impl Then<'_> {
    /// Whether a launch can do this.
    fn fits(self, x: &Tensor, layers: &[Layer<'_>]) -> Result<bool> {
        Ok(match (self, layers) {
            (Self::Gate(_), [gate, up]) => gate.weight.dims()? == up.weight.dims()?,
            (Self::Add(residual), [layer]) => {
                let has_dtype = residual.dtype() == x.dtype();
                layer.bias.is_none() && !residual.track_op() && has_dtype
            }
            (then, _) => matches!(then, Self::Nothing),
        })
    }
}

fn is_tracked(x: &Tensor, layers: &[Layer<'_>]) -> bool {
    let frozen = layers
        .iter()
        .flat_map(|layer| layer.weight.tensor().into_iter().chain(layer.bias));
    let loras = layers.iter().flat_map(|layer| layer.lora);
    let trained = loras.flat_map(|lora| [lora.a, lora.b]);
    frozen.chain(trained).chain([x]).any(Tensor::track_op)
}

/// Whether an adapter is two float32 matrices and nothing else.
fn is_plain(lora: LoraWeights<'_>) -> bool {
    let matrices = [lora.a, lora.b];
    lora.dropout.is_none() && matrices.iter().all(|matrix| matrix.dtype() == DType::F32)
}
