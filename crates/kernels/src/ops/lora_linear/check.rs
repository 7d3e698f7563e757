//! The formula over f64, and what the adapted layer is checked on.

use super::{LoraWeights, cases, cases::CaseShape, lora_linear, reference};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use crate::weight::packing::{Packing, dense_of, weight_of};
use crate::{Dropout, Result, Weight};
use candle_core::{DType, Device, Tensor};

const SCALE: f64 = 1.75;

/// Checks all cases on `device`, but those of packings without kernels there.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> std::result::Result<(), Failure> {
    let mut cases = cases::small();
    let has_kernels = |packing: Packing| packing.has_kernels(device);
    cases.retain(|case| case.shape.packing.is_none_or(has_kernels));
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::dropped(), problem, device)
}

/// The problem of a case. The frozen weight and its bias never have a gradient, even if tracked.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let shape = &case.shape;
    let (k, n, r) = (shape.inputs, shape.outputs, shape.rank);
    let mut inputs = vec![
        Input::new("x", &shape.x_dims()),
        Input::new("A", &[r, k]),
        Input::new("B", &[n, r]),
        Input::new("W", &[n, k])
            .in_dtype(shape.weight_dtype)
            .constant(),
    ];
    if shape.bias {
        inputs.push(Input::new("bias", &[n]).constant());
    }
    let inputs = inputs.into_iter().map(|input| input.viewed(case.view));
    let options = (dropout(shape.dropout), shape.packing);
    Problem::new(inputs.collect(), move |x| truth(x, options))
        .run("lora_linear", move |x| run(lora_linear, x, options))
        .run("reference", move |x| run(reference::forward, x, options))
}

fn dropout(p: f64) -> Option<Dropout> {
    Dropout::new(p, 42).ok().filter(|_| p > 0.0)
}

type Options = (Option<Dropout>, Option<Packing>);

type Forward = fn(&Tensor, &Weight, Option<&Tensor>, LoraWeights<'_>) -> Result<Tensor>;

fn run(forward: Forward, x: &[Tensor], (dropout, packing): Options) -> Result<Tensor> {
    let lora = LoraWeights {
        a: &x[1],
        b: &x[2],
        scale: SCALE,
        dropout,
    };
    forward(&x[0], &weight_of(&x[3], packing)?, x.get(4), lora)
}

fn truth(inputs: &[Array], (dropout, packing): Options) -> Array {
    let [x, a, b, w, bias @ ..] = inputs else {
        return Array::from_fn(&[0], |_| f64::NAN);
    };
    let dropped = dropped(x, dropout);
    let mut y = product(x, &dense_of(w, packing));
    let update = product(&product(&dropped, a), b);
    let n = b.dims[0];
    for (i, y) in y.data.iter_mut().enumerate() {
        let bias = bias.first().map_or(0.0, |bias| bias.data[i % n]);
        *y += bias + SCALE * update.data[i];
    }
    y
}

fn dropped(x: &Array, dropout: Option<Dropout>) -> Array {
    let mask = dropout.and_then(|dropout| {
        let mask = dropout.mask(&x.dims[..].into(), DType::F32, &Device::Cpu);
        Array::from_tensor(&mask.ok()?).ok()
    });
    match mask {
        Some(mask) => Array::from_fn(&x.dims, |i| x.at(i) * mask.at(i)),
        None => x.clone(),
    }
}

/// `x W^T`: every row of `x` by every row of `w`.
fn product(x: &Array, w: &Array) -> Array {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut dims = x.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = w.dims[0];
    }
    let rows = x
        .rows()
        .flat_map(|row| w.rows().map(move |column| dot(row, column)));
    Array {
        dims,
        data: rows.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;
    use candle_core::Var;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_weight_of_several_panels() {
        let shape = CaseShape {
            lead: vec![3],
            inputs: 500,
            outputs: 600,
            rank: 2,
            bias: true,
            dropout: 0.0,
            weight_dtype: Some(DType::BF16),
            packing: None,
        };
        let problem = problem(&crate::case::plain(shape));
        testkit::agree(&problem, DType::F32, &Device::Cpu).unwrap();
    }

    fn full(value: f32, dims: &[usize]) -> Tensor {
        Tensor::full(value, dims, &Device::Cpu).unwrap()
    }

    fn weights<'a>(a: &'a Tensor, b: &'a Tensor, dropout: Option<Dropout>) -> LoraWeights<'a> {
        let scale = 1.0;
        LoraWeights {
            a,
            b,
            scale,
            dropout,
        }
    }

    /// 2000 outputs, each the sum of one input after dropout.
    fn dropped_ones(seed: u64) -> Vec<f32> {
        let (x, a, b) = (
            full(1.0, &[2000, 1]),
            full(1.0, &[1, 1]),
            full(1.0, &[1, 1]),
        );
        let dropout = Some(Dropout::new(0.25, seed).unwrap());
        let w = full(0.0, &[1, 1]).into();
        let y = lora_linear(&x, &w, None, weights(&a, &b, dropout)).unwrap();
        y.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn dropout_is_fixed_by_its_seed() {
        assert_eq!(dropped_ones(1), dropped_ones(1));
        assert_ne!(dropped_ones(1), dropped_ones(2));
    }

    #[test]
    fn dropout_keeps_the_mean() {
        let y = dropped_ones(3);
        let kept = y.iter().filter(|&&y| y != 0.0).count();
        assert!(y.iter().all(|&y| y == 0.0 || (y - 4.0 / 3.0).abs() < 1e-6));
        assert!((1400..1600).contains(&kept), "{kept} of 2000 kept");
    }

    #[test]
    fn the_frozen_weight_gets_no_gradient() {
        let w = Var::from_tensor(&full(1.0, &[3, 2])).unwrap();
        let a = Var::from_tensor(&full(1.0, &[1, 2])).unwrap();
        let b = Var::from_tensor(&full(1.0, &[3, 1])).unwrap();
        let weight = w.as_tensor().clone().into();
        let y = lora_linear(&full(1.0, &[4, 2]), &weight, None, weights(&a, &b, None));
        let y = y.unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&w).is_none());
        assert!(grads.get(&a).is_some() && grads.get(&b).is_some());
    }

    #[test]
    fn an_adapter_of_another_layer_is_refused() {
        let (a, b) = (full(1.0, &[1, 5]), full(1.0, &[3, 1]));
        let y = lora_linear(
            &full(1.0, &[4, 2]),
            &full(1.0, &[3, 2]).into(),
            None,
            weights(&a, &b, None),
        );
        let expected = "lora_linear: A must have shape (1, 2), got [1, 5]";
        assert_eq!(y.unwrap_err().to_string(), expected);
    }
}
