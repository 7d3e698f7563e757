//! The checks themselves: a wrong operation has to fail each of them.
#![allow(unsafe_code)]

use super::{Array, Failure, Input, Problem, check};
use crate::case::{DTYPES, View};
use crate::graph::elementwise;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};
use metal_candle_memory::Poison;

#[global_allocator]
static POISON: Poison = Poison;

const DIMS: [usize; 2] = [3, 5];

/// `a * b`, as `run` computes it.
fn product(
    dims: &[usize],
    run: impl Fn(&[Tensor]) -> crate::Result<Tensor> + Send + Sync + 'static,
) -> Problem {
    let inputs = vec![Input::new("a", dims), Input::new("b", dims)];
    let truth = |x: &[Array]| Array::from_fn(&x[0].dims, |i| x[0].at(i) * x[1].at(i));
    Problem::new(inputs, truth).run("product", run)
}

fn fails(
    run: impl Fn(&[Tensor]) -> crate::Result<Tensor> + Clone + Send + Sync + 'static,
) -> Vec<Failure> {
    let mut failures = vec![];
    // Gradients element by element, and along directions.
    for dims in [DIMS, [13, 31]] {
        for dtype in DTYPES {
            let problem = product(&dims, run.clone());
            failures.push(check(&problem, dtype, &Device::Cpu).unwrap_err());
        }
    }
    failures
}

/// Applied to a tensor, lets it through and does something else to its gradient.
struct Through<F>(F);

impl<F: Fn(&Tensor) -> Result<Option<Tensor>>> CustomOp1 for Through<F> {
    fn name(&self) -> &'static str {
        "through"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((s.affine(l, 1.0, 0.0)?, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.0)(grad)
    }
}

#[test]
fn a_right_operation_passes() {
    for dims in [&[][..], &[1], &[3, 5], &[13, 31]] {
        for view in View::ALL {
            let mut problem = product(dims, |x| elementwise::mul(&x[0], &x[1]));
            for input in &mut problem.inputs {
                input.view = view;
            }
            for dtype in DTYPES {
                check(&problem, dtype, &Device::Cpu).unwrap();
            }
        }
    }
}

#[test]
fn implementations_that_differ_do_not_agree() {
    let right = |x: &[Tensor]| elementwise::mul(&x[0], &x[1]);
    let detached = |x: &[Tensor]| elementwise::mul(&x[0].detach(), &x[1]);
    let more = |x: &[Tensor]| Ok((elementwise::mul(&x[0], &x[1])? * 1.02)?);
    let agree = |problem: Problem| super::agree(&problem, DType::F32, &Device::Cpu);
    agree(product(&DIMS, right).run("reference", right)).unwrap();
    agree(product(&DIMS, detached).run("reference", right)).unwrap_err();
    agree(product(&DIMS, more).run("reference", right)).unwrap_err();
}

#[test]
fn zeros_fail() {
    for failure in fails(|x| elementwise::mul(&x[0].zeros_like()?, &x[1])) {
        assert!(matches!(failure, Failure::Element { .. }), "{failure}");
    }
}

#[test]
fn two_percent_more_fails() {
    for failure in fails(|x| Ok((elementwise::mul(&x[0], &x[1])? * 1.02)?)) {
        let far = matches!(failure, Failure::Element { .. } | Failure::Norm { .. });
        assert!(far && failure.to_string().contains("result"), "{failure}");
    }
}

#[test]
fn two_percent_more_in_one_gradient_fails() {
    for failure in fails(|x| {
        let b = x[1].apply_op1(Through(|grad: &Tensor| (grad * 1.02).map(Some)))?;
        elementwise::mul(&x[0], &b)
    }) {
        let far = matches!(failure, Failure::Element { .. } | Failure::Norm { .. });
        let told = failure.to_string().contains("gradient of b");
        assert!(far && told, "{failure}");
    }
}

#[test]
fn a_gradient_of_zeros_fails() {
    for failure in fails(|x| {
        let a = x[0].apply_op1(Through(|grad: &Tensor| grad.zeros_like().map(Some)))?;
        elementwise::mul(&a, &x[1])
    }) {
        let far = matches!(failure, Failure::Element { .. } | Failure::Norm { .. });
        let told = failure.to_string().contains("gradient of a");
        assert!(far && told, "{failure}");
    }
}

#[test]
fn a_detached_input_fails() {
    for failure in fails(|x| elementwise::mul(&x[0].detach(), &x[1])) {
        assert!(matches!(failure, Failure::Detached { .. }), "{failure}");
    }
}

#[test]
fn a_detached_result_fails() {
    for failure in fails(|x| Ok(elementwise::mul(&x[0], &x[1])?.detach())) {
        assert!(matches!(failure, Failure::Detached { .. }), "{failure}");
    }
}

#[test]
fn a_gradient_for_an_untracked_input_fails() {
    // candle's own product computes the gradients of both operands.
    for failure in fails(|x| Ok((&x[0] * &x[1])?)) {
        assert!(matches!(failure, Failure::Untracked { .. }), "{failure}");
    }
}

#[test]
fn another_shape_or_dtype_fails() {
    for failure in fails(|x| Ok(elementwise::mul(&x[0], &x[1])?.to_dtype(DType::F64)?)) {
        assert!(matches!(failure, Failure::Shape { .. }), "{failure}");
    }
    for failure in fails(|x| Ok(elementwise::mul(&x[0], &x[1])?.unsqueeze(0)?)) {
        assert!(matches!(failure, Failure::Shape { .. }), "{failure}");
    }
}

/// An operation that copies all elements but the last.
struct Forgetful;

impl CustomOp1 for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = &s.as_slice::<f32>()?[l.start_offset()..];
        let n = l.shape().elem_count();
        let mut y = Vec::<f32>::with_capacity(n);
        y.extend(&x[..n - 1]);
        // SAFETY: not sound in general: the last element was never written. It is what kernels
        // do that allocate without zeros, and the allocator above has written it.
        unsafe { y.set_len(n) };
        Ok((CpuStorage::F32(y), l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.clone()))
    }
}

#[test]
fn an_element_that_is_not_written_fails() {
    let run = |x: &[Tensor]| Ok(elementwise::mul(&x[0], &x[1])?.apply_op1(Forgetful)?);
    for dims in [[1, 1], DIMS] {
        let failure = check(&product(&dims, run), DType::F32, &Device::Cpu).unwrap_err();
        match failure {
            Failure::Element { got, element, .. } => {
                assert!(got.is_nan());
                assert_eq!(element, dims[0] * dims[1] - 1);
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn memory_that_grows_is_poisoned_too() {
    let mut numbers = vec![1f32; 1000];
    numbers.reserve_exact(100_000);
    assert!(numbers.spare_capacity_mut().iter().all(|x| {
        // SAFETY: the allocator has written it.
        unsafe { x.assume_init() }.is_nan()
    }));
}
