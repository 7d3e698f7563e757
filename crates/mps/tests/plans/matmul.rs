//! `MatrixMultiplication`.

use candle_core::DType;
use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::{Gemm, MatrixMultiplication, Reject, Slot, View};
use proptest::prelude::*;
use proptest::sample::select;

use crate::layouts::{Fastest, Layout, batch_dims, buffer, cases, is_aligned, layout, scalars};
use crate::naive;

/// What a product of random layouts needs.
#[derive(Debug, Clone)]
struct Case {
    left: View,
    right: View,
    result: View,
    scalars: (f64, f64),
    seed: u64,
    /// Strides and offsets are aligned for 16-bit floats.
    aligned: bool,
}

const TYPES: [DType; 2] = [DType::F32, DType::F16];

fn case(factors: Fastest, types: Vec<DType>) -> impl Strategy<Value = Case> {
    (2..6usize).prop_flat_map(move |rank| {
        let layouts = (
            layout(rank, factors, true),
            layout(rank, factors, true),
            layout(rank, Fastest::Last, false),
        );
        let sizes = (batch_dims(rank), 1..6usize, 1..6usize, 1..6usize);
        let alignment = select(vec![(1, 1), (8, 1), (8, 8)]);
        (
            layouts,
            sizes,
            alignment,
            select(types.clone()),
            scalars(),
            any::<u64>(),
        )
            .prop_map(build)
    })
}

type Parts = (
    (Layout, Layout, Layout),
    (Vec<usize>, usize, usize, usize),
    (usize, usize),
    DType,
    (f64, f64),
    u64,
);

fn build((layouts, (batch, m, n, k), alignment, dtype, scalars, seed): Parts) -> Case {
    let view = |mut layout: Layout, matrix: [usize; 2]| {
        (layout.stride_multiple, layout.offset_multiple) = alignment;
        layout.view(dtype, &[&batch[..], &matrix].concat())
    };
    let (left, right, result) = layouts;
    Case {
        left: view(left, [m, k]),
        right: view(right, [k, n]),
        result: view(result, [m, n]),
        scalars,
        seed,
        aligned: alignment == (8, 8),
    }
}

impl Case {
    fn plan(&self) -> Result<MatrixMultiplication, Reject> {
        let (alpha, beta) = self.scalars;
        MatrixMultiplication::plan(&Gemm {
            alpha,
            beta,
            ..Gemm::new(&self.left, &self.right, &self.result)
        })
    }

    /// The whole result buffer: by the plan, and by the definition.
    fn outcomes(&self, plan: &MatrixMultiplication) -> (Vec<u8>, Vec<u8>) {
        let views = [&self.left, &self.right, &self.result];
        let buffers = [0, 1, 2].map(|i| buffer(views[i], self.seed.wrapping_add(i as u64)));
        let expected = naive::multiply(views, buffers.each_ref().map(|b| &b[..]), self.scalars);
        let mut host = Host::default();
        for (slot, bytes) in [Slot::Left, Slot::Right, Slot::Result]
            .into_iter()
            .zip(buffers)
        {
            host.insert(slot, bytes);
        }
        host.multiply(plan).expect("a plan stays in its buffers");
        (
            host.bytes(Slot::Result).expect("inserted").to_vec(),
            expected,
        )
    }
}

fn is_about_alignment(reject: &Reject) -> bool {
    matches!(reject, Reject::Alignment { .. })
}

proptest! {
    #![proptest_config(cases(1500))]

    /// Every matrix and transpose of 32-bit floats is planned, whatever its batch, and right.
    #[test]
    fn f32_products_are_planned_and_exact(case in case(Fastest::LastTwo, vec![TYPES[0]])) {
        let plan = case.plan().expect("f32 matrices have a plan");
        let (got, expected) = case.outcomes(&plan);
        prop_assert_eq!(got, expected, "{:#?}", plan);
    }

    /// Halves are rejected for their alignment alone.
    #[test]
    fn products_of_halves_too_are_exact_or_misaligned(case in case(Fastest::LastTwo, TYPES.to_vec())) {
        match case.plan() {
            Ok(plan) => {
                let (got, expected) = case.outcomes(&plan);
                prop_assert_eq!(got, expected, "{:#?}", plan);
                let mut matrices = plan.calls.iter().flatten();
                prop_assert!(matrices.all(is_aligned), "{:#?}", plan);
            }
            Err(reject) => prop_assert!(!case.aligned && is_about_alignment(&reject), "{}", reject),
        }
    }

    /// Whatever the strides: a plan is right.
    #[test]
    fn products_of_any_strides_are_exact_or_rejected(case in case(Fastest::Any, TYPES.to_vec())) {
        if let Ok(plan) = case.plan() {
            let (got, expected) = case.outcomes(&plan);
            prop_assert_eq!(got, expected, "{:#?}", plan);
        }
    }
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn matrix(dims: [usize; 2]) -> View {
    Layout::contiguous(2).view(DType::F32, &dims)
}

fn run(result: &[f32], (alpha, beta): (f64, f64)) -> Vec<u8> {
    let (left, right, out) = (matrix([2, 3]), matrix([3, 2]), matrix([2, 2]));
    let gemm = Gemm {
        alpha,
        beta,
        ..Gemm::new(&left, &right, &out)
    };
    let plan = MatrixMultiplication::plan(&gemm).expect("contiguous f32");
    let mut host = Host::default();
    host.insert(Slot::Left, f32_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    host.insert(Slot::Right, f32_bytes(&[7.0, 8.0, 9.0, 10.0, 11.0, 12.0]));
    host.insert(Slot::Result, f32_bytes(result));
    host.multiply(&plan).expect("in bounds");
    host.bytes(Slot::Result).expect("inserted").to_vec()
}

#[test]
fn two_by_three_times_three_by_two() {
    assert_eq!(
        run(&[0.0; 4], (1.0, 0.0)),
        f32_bytes(&[58.0, 64.0, 139.0, 154.0])
    );
}

#[test]
fn alpha_scales_the_product_and_beta_the_old_result() {
    let expected = [
        2.0 * 58.0 + 5.0,
        2.0 * 64.0 + 10.0,
        2.0 * 139.0 + 15.0,
        2.0 * 154.0 + 20.0,
    ];
    assert_eq!(
        run(&[10.0, 20.0, 30.0, 40.0], (2.0, 0.5)),
        f32_bytes(&expected)
    );
}

#[test]
fn without_beta_the_old_result_is_not_read() {
    let expected = f32_bytes(&[58.0, 64.0, 139.0, 154.0]);
    assert_eq!(run(&[f32::NAN; 4], (1.0, 0.0)), expected);
    assert_eq!(run(&[f32::INFINITY; 4], (1.0, -0.0)), expected);
    assert_ne!(run(&[f32::NAN; 4], (1.0, 1.0)), expected);
}

/// An object is shared where all of this is equal, and made from nothing else.
#[test]
fn kernels_are_told_apart_by_the_bits_of_their_factors() {
    let square = matrix([4, 4]);
    let kernel = |alpha, beta| {
        let gemm = Gemm {
            alpha,
            beta,
            ..Gemm::new(&square, &square, &square)
        };
        MatrixMultiplication::plan(&gemm).expect("plain").kernel
    };
    let factors = [1.0, 1.0 + f64::EPSILON, 0.0, -0.0, f64::NAN];
    let all = factors.iter().flat_map(|&a| factors.map(|b| kernel(a, b)));
    let distinct: std::collections::HashSet<_> = all.collect();
    assert_eq!(distinct.len(), factors.len() * factors.len());
    assert_eq!(kernel(f64::NAN, 0.0), kernel(f64::NAN, 0.0));
}
