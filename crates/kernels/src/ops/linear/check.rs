//! The formula over f64, and what the product with a frozen weight is checked on.

use super::cases::{self, CaseShape, Storage};
use super::{linear, reference};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use crate::weight::packing::{Packing, dense_of};
use crate::{Result, Weight};
use candle_core::{Device, Tensor};

/// Checks all cases on `device`, but those of packings without kernels there.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> std::result::Result<(), Failure> {
    let mut cases = cases::small();
    let has_kernels = |packing: Packing| packing.has_kernels(device);
    cases.retain(|case| case.shape.storage.packing().is_none_or(has_kernels));
    check_cases(&cases, problem, device)
}

/// The problem of a case: weight and bias are frozen.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let shape = &case.shape;
    let (k, n, storage) = (shape.inputs, shape.outputs, shape.storage);
    let mut inputs = vec![
        Input::new("x", &shape.x_dims()),
        Input::new("W", &[n, k])
            .in_dtype(storage.dtype())
            .constant(),
    ];
    if shape.bias {
        inputs.push(Input::new("bias", &[n]).constant());
    }
    let inputs = inputs.into_iter().map(|input| input.viewed(case.view));
    Problem::new(inputs.collect(), move |x| truth(x, storage))
        .run("linear", move |x| run(linear, x, storage))
        .run("reference", move |x| run(reference, x, storage))
}

type Forward = fn(&Tensor, &Weight, Option<&Tensor>) -> Result<Tensor>;

fn run(forward: Forward, x: &[Tensor], storage: Storage) -> Result<Tensor> {
    let weight = storage.weight(&x[1].detach())?;
    forward(&x[0], &weight, x.get(2).map(Tensor::detach).as_ref())
}

fn truth(inputs: &[Array], storage: Storage) -> Array {
    let [x, w, bias @ ..] = inputs else {
        return Array::from_fn(&[0], |_| f64::NAN);
    };
    let w = dense_of(w, storage.packing());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let bias = |i: usize| bias.first().map_or(0.0, |bias| bias.data[i]);
    let row = |x| w.rows().enumerate().map(move |(i, w)| dot(x, w) + bias(i));
    let mut dims = x.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = w.dims[0];
    }
    Array {
        dims,
        data: x.rows().flat_map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::plain;
    use crate::testkit;
    use crate::weight::packing::weight_of;
    use candle_core::DType;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    /// A weight of several blocks in every direction, and of fewer rows than a tile.
    #[test]
    fn a_weight_of_several_blocks() {
        let affine = |bits, group| Packing::Affine {
            bits,
            group,
            factors: DType::BF16,
        };
        let cases = [
            (1, affine(4, 64)),
            (7, affine(8, 64)),
            (30, affine(4, 128)),
            (1100, affine(3, 32)),
            (7, Packing::Nf4),
            (1100, Packing::Nf4),
            (30, Packing::Fp8 { block: (128, 128) }),
        ];
        for (rows, packing) in cases {
            let shape = CaseShape {
                lead: vec![rows],
                inputs: 1280,
                outputs: 1100,
                bias: true,
                storage: Storage::Packed(packing),
            };
            testkit::agree(&problem(&plain(shape)), DType::F32, &Device::Cpu).unwrap();
        }
    }

    #[test]
    fn another_width_is_refused() {
        let dense = Tensor::ones((2, 64), DType::F32, &Device::Cpu).unwrap();
        let packing = Packing::Affine {
            bits: 4,
            group: 32,
            factors: DType::F32,
        };
        let weight = weight_of(&dense, Some(packing)).unwrap();
        let x = dense.narrow(1, 0, 63).unwrap();
        assert_eq!(
            linear(&x, &weight, None).unwrap_err().to_string(),
            "linear: x must have shape (.., 64), got [2, 63]"
        );
    }
}
