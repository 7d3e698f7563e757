//! The formulas over f64, and what the products are checked on.

use super::cases::{self, CaseShape, Then};
use super::{Layer, gated_linear, linear_onto, linears};
use crate::LoraWeights;
use crate::case::Case;
use crate::graph::elementwise::add;
use crate::ops::glu::{Activation, glu};
use crate::ops::linear::linear;
use crate::ops::lora_linear::lora_linear;
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use crate::weight::packing::dense_of;
use crate::{Result, Weight};
use candle_core::{D, Device, Tensor};

/// Checks all cases on `device`, but those of packings without kernels there.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> std::result::Result<(), Failure> {
    let mut cases = cases::small();
    cases.retain(|case| {
        let packing = case.shape.storage.packing();
        packing.is_none_or(|packing| packing.has_kernels(device))
    });
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::with_adapters(), problem, device)
}

/// Factor of the adapters.
const SCALE: f64 = 0.75;

/// Inputs of a layer: a weight, a bias, and the matrices of an adapter.
const PARTS: usize = 4;

/// Rank of a layer's adapter, 0 where it has none.
fn rank(shape: &CaseShape, layer: usize) -> usize {
    shape.ranks.get(layer).copied().unwrap_or(0)
}

fn is_put_together(shape: &CaseShape) -> bool {
    shape.then == Then::Nothing && shape.outputs.len() > 1
}

/// Matrices of a layer's adapter; where it has none, some that nobody reads. Several results are put together by candle, which
/// computes gradients of all of them where one is tracked: they are constant there.
fn adapter(shape: &CaseShape, layer: usize) -> [Input; 2] {
    let (rank, n) = (rank(shape, layer), shape.outputs[layer]);
    let down = Input::new(["D", "E", "F"][layer], &[rank.max(1), shape.inputs]);
    let up = Input::new(["U", "V", "W"][layer], &[n, rank.max(1)]);
    [down, up].map(|input| match rank == 0 || is_put_together(shape) {
        true => input.constant(),
        false => input,
    })
}

/// The problem of a case: weights and biases are frozen. Several results lie behind each other in a row.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let shape = &case.shape;
    let x = Input::new("x", &[&shape.lead[..], &[shape.inputs]].concat());
    let mut inputs = vec![x];
    for (i, &n) in shape.outputs.iter().enumerate() {
        let weight = Input::new(["A", "B", "C"][i], &[n, shape.inputs]);
        inputs.push(weight.in_dtype(shape.storage.dtype()).constant());
        let bias = Input::new(["a", "b", "c"][i], &[n]);
        inputs.push(bias.constant());
        inputs.extend(adapter(shape, i));
    }
    if shape.then == Then::Add {
        let dims = [&shape.lead[..], &shape.outputs].concat();
        inputs.push(Input::new("residual", &dims));
    }
    let inputs = inputs.into_iter().map(|input| input.viewed(case.view));
    let (of_truth, ours, theirs) = (shape.clone(), shape.clone(), shape.clone());
    Problem::new(inputs.collect(), move |x| truth(x, &of_truth))
        .run("linears", move |x| run(x, &ours, results))
        .run("reference", move |x| run(x, &theirs, reference))
}

type Run = fn(&[Tensor], &[Layer<'_>], Then) -> Result<Tensor>;

fn run(inputs: &[Tensor], shape: &CaseShape, run: Run) -> Result<Tensor> {
    let parts = inputs[1..=PARTS * shape.outputs.len()].chunks(PARTS);
    let frozen = parts.clone().enumerate().map(|(i, parts)| {
        let weight = shape.storage.weight(&parts[0].detach())?;
        Ok((weight, has_bias(shape, i).then(|| parts[1].detach())))
    });
    let frozen = frozen.collect::<Result<Vec<(Weight, Option<Tensor>)>>>()?;
    let matrices = parts.map(|parts| match is_put_together(shape) {
        true => [parts[2].detach(), parts[3].detach()],
        false => [parts[2].clone(), parts[3].clone()],
    });
    let matrices: Vec<[Tensor; 2]> = matrices.collect();
    let layers = frozen.iter().zip(&matrices).enumerate();
    let layers = layers.map(|(i, ((weight, bias), [a, b]))| Layer {
        weight,
        bias: bias.as_ref(),
        lora: (rank(shape, i) > 0).then_some(LoraWeights {
            a,
            b,
            scale: SCALE,
            dropout: None,
        }),
    });
    run(inputs, &layers.collect::<Vec<_>>(), shape.then)
}

fn has_bias(shape: &CaseShape, layer: usize) -> bool {
    shape.bias && !(layer == 1 && shape.outputs.len() == 3)
}

fn results(inputs: &[Tensor], layers: &[Layer<'_>], then: Then) -> Result<Tensor> {
    let (x, last) = (&inputs[0], &inputs[inputs.len() - 1]);
    match (then, layers) {
        (Then::Gate(activation), [gate, up]) => gated_linear(x, [*gate, *up], activation),
        (Then::Add, [layer]) => linear_onto(last, x, *layer),
        (_, [a, b, c]) => Ok(Tensor::cat(&linears(x, [*a, *b, *c])?, D::Minus1)?),
        (_, [a, b]) => Ok(Tensor::cat(&linears(x, [*a, *b])?, D::Minus1)?),
        (_, [a]) => linears(x, [*a]).map(|[y]| y),
        _ => Ok(x.clone()),
    }
}

fn reference(inputs: &[Tensor], layers: &[Layer<'_>], then: Then) -> Result<Tensor> {
    let (x, last) = (&inputs[0], &inputs[inputs.len() - 1]);
    let products = layers.iter().map(|layer| match layer.lora {
        Some(lora) => lora_linear(x, layer.weight, layer.bias, lora),
        None => linear(x, layer.weight, layer.bias),
    });
    let products = products.collect::<Result<Vec<_>>>()?;
    match (then, &products[..]) {
        (Then::Gate(activation), [gate, up]) => glu(gate, up, activation),
        (Then::Add, [product]) => add(last, product),
        _ => Ok(Tensor::cat(&products, D::Minus1)?),
    }
}

fn truth(inputs: &[Array], shape: &CaseShape) -> Array {
    let (x, last) = (&inputs[0], &inputs[inputs.len() - 1]);
    let product = |i: usize, x: &[f64]| {
        let [weight, bias, a, b] = [0, 1, 2, 3].map(|part| &inputs[1 + PARTS * i + part]);
        let weight = dense_of(weight, shape.storage.packing());
        let dots = weight
            .rows()
            .map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>());
        let bias = bias.data.iter().map(|b| f64::from(has_bias(shape, i)) * b);
        let scale = if rank(shape, i) > 0 { SCALE } else { 0.0 };
        let updates = updates(x, a, b).into_iter().map(|update| scale * update);
        dots.zip(bias)
            .zip(updates)
            .map(|((dot, bias), update)| dot + bias + update)
            .collect::<Vec<f64>>()
    };
    let products = |x| (0..shape.outputs.len()).map(move |i| product(i, x));
    let row = |(i, x)| {
        let mut products = products(x);
        match (shape.then, products.next(), last.rows().nth(i)) {
            (Then::Gate(activation), Some(gates), _) => {
                let ups = products.flatten();
                gates
                    .iter()
                    .zip(ups)
                    .map(|(z, u)| gated(activation, *z) * u)
                    .collect()
            }
            (Then::Add, Some(product), Some(residual)) => product
                .iter()
                .zip(residual)
                .map(|(y, r)| y + r)
                .collect::<Vec<f64>>(),
            (_, first, _) => first
                .into_iter()
                .flatten()
                .chain(products.flatten())
                .collect(),
        }
    };
    let data: Vec<f64> = x.rows().enumerate().flat_map(row).collect();
    let width = data.len() / x.rows().count().max(1);
    Array {
        dims: [&shape.lead[..], &[width]].concat(),
        data,
    }
}

/// `x A^T B^T` of a row.
fn updates(x: &[f64], a: &Array, b: &Array) -> Vec<f64> {
    let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    let (outputs, rank) = (b.dims[0], b.dims[1]);
    let hidden: Vec<f64> = a.rows().map(|row| dot(row, x)).collect();
    let row = |n: usize| &b.data[n * rank..(n + 1) * rank];
    (0..outputs).map(|n| dot(row(n), &hidden)).collect()
}

fn gated(activation: Activation, z: f64) -> f64 {
    match activation {
        Activation::Silu => z / (1.0 + (-z).exp()),
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z.powi(3));
            z * (1.0 + u.tanh()) / 2.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_residual_of_another_shape_is_refused() {
        let ones = |dims: &[usize]| Tensor::ones(dims, candle_core::DType::F32, &Device::Cpu);
        let (x, weight) = (ones(&[2, 3]).unwrap(), ones(&[4, 3]).unwrap().into());
        let layer = Layer {
            weight: &weight,
            bias: None,
            lora: None,
        };
        let error = linear_onto(&ones(&[1, 4]).unwrap(), &x, layer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "linear_onto: residual must have shape [2, 4], got [1, 4]"
        );
    }
}
