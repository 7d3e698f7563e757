//! The formulas over f64, and what the products are checked on.

use super::cases::{self, CaseShape, Then};
use super::{Layer, gated_linear, linear_onto, linears};
use crate::case::Case;
use crate::graph::elementwise::add;
use crate::ops::glu::{Activation, glu};
use crate::ops::linear::linear;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
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
    check_cases(&cases, problem, device)
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
    let frozen = inputs[1..=2 * shape.outputs.len()].chunks(2);
    let frozen = frozen.enumerate().map(|(i, parts)| {
        let weight = shape.storage.weight(&parts[0].detach())?;
        Ok((weight, has_bias(shape, i).then(|| parts[1].detach())))
    });
    let frozen = frozen.collect::<Result<Vec<(Weight, Option<Tensor>)>>>()?;
    let layers: Vec<Layer<'_>> = frozen.iter().map(|(w, b)| (w, b.as_ref())).collect();
    run(inputs, &layers, shape.then)
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
        _ => Ok(x.clone()),
    }
}

fn reference(inputs: &[Tensor], layers: &[Layer<'_>], then: Then) -> Result<Tensor> {
    let (x, last) = (&inputs[0], &inputs[inputs.len() - 1]);
    let products = layers.iter().map(|(w, b)| linear(x, w, *b));
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
        let (weight, bias) = (&inputs[1 + 2 * i], &inputs[2 + 2 * i]);
        let weight = dense_of(weight, shape.storage.packing());
        let dots = weight
            .rows()
            .map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>());
        let bias = bias.data.iter().map(|b| f64::from(has_bias(shape, i)) * b);
        dots.zip(bias)
            .map(|(dot, bias)| dot + bias)
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
        let (x, w) = (ones(&[2, 3]).unwrap(), ones(&[4, 3]).unwrap().into());
        let error = linear_onto(&ones(&[1, 4]).unwrap(), &x, (&w, None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "linear_onto: residual must have shape [2, 4], got [1, 4]"
        );
    }
}
