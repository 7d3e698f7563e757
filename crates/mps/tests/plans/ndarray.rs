//! `NdArrayMatrixMultiplication`.

use candle_core::DType;
use metal_candle_mps::interp::{Fault, Host};
use metal_candle_mps::plan::{Gemm, NdArrayMultiplication, Reject, Slot, View};
use proptest::prelude::*;
use proptest::sample::select;

use crate::layouts::{Fastest, Layout, batch_dims, buffer, cases, layout};
use crate::naive;

#[derive(Debug, Clone)]
struct Case {
    views: [View; 3],
    alpha: f64,
    seed: u64,
    /// Row lengths and offsets are aligned for 16-bit floats.
    aligned: bool,
}

/// Packed matrices, transposed or not, with any strides in front.
fn packed(rank: usize, fastest: Fastest, broadcast: bool) -> impl Strategy<Value = Layout> {
    layout(rank, fastest, broadcast).prop_map(move |mut layout| {
        let fast = layout.order[rank - 1];
        let slow = 2 * rank - 3 - fast;
        layout.order.retain(|&dim| dim != slow);
        layout.order.insert(rank - 2, slow);
        layout.gaps[rank - 1] = 0;
        layout
    })
}

fn case() -> impl Strategy<Value = Case> {
    (2..6usize).prop_flat_map(|rank| {
        let layouts = (
            packed(rank, Fastest::LastTwo, true),
            packed(rank, Fastest::LastTwo, true),
            packed(rank, Fastest::Last, false),
        );
        let sizes = (batch_dims(rank), 1..4usize, 1..4usize, 1..4usize);
        let dtype = select(vec![DType::F32, DType::F16, DType::BF16]);
        let alpha = select(vec![1.0, -0.5, 0.3]);
        (layouts, sizes, dtype, any::<bool>(), alpha, any::<u64>()).prop_map(
            |((left, right, result), (batch, m, n, k), dtype, aligned, alpha, seed)| {
                let unit = if aligned { 8 } else { 1 };
                let view = |mut layout: Layout, rows: usize, columns: usize| {
                    (layout.stride_multiple, layout.offset_multiple) = (unit, unit);
                    layout.view(
                        dtype,
                        &[&batch[..], &[rows * unit, columns * unit]].concat(),
                    )
                };
                let views = [view(left, m, k), view(right, k, n), view(result, m, n)];
                Case {
                    views,
                    alpha,
                    seed,
                    aligned: aligned || dtype == DType::F32,
                }
            },
        )
    })
}

fn plan(views: &[View; 3], alpha: f64) -> Result<NdArrayMultiplication, Reject> {
    let [left, right, result] = views;
    NdArrayMultiplication::plan(&Gemm {
        alpha,
        ..Gemm::new(left, right, result)
    })
}

fn host(views: &[View; 3], seed: u64) -> Host {
    let mut host = Host::default();
    for (i, slot) in [Slot::Left, Slot::Right, Slot::Result]
        .into_iter()
        .enumerate()
    {
        host.insert(slot, buffer(&views[i], seed.wrapping_add(i as u64)));
    }
    host
}

fn expected(views: &[View; 3], host: &Host, alpha: f64) -> Vec<u8> {
    let slots = [Slot::Left, Slot::Right, Slot::Result];
    let buffers = slots.map(|slot| host.bytes(slot).expect("inserted"));
    naive::multiply(views.each_ref(), buffers, (alpha, 0.0))
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn packed_products_are_exact_or_misaligned(case in case()) {
        match plan(&case.views, case.alpha) {
            Ok(plan) => {
                let mut host = host(&case.views, case.seed);
                let expected = expected(&case.views, &host, case.alpha);
                host.multiply_ndarray(&plan).expect("a plan stays in its buffers");
                prop_assert_eq!(host.bytes(Slot::Result), Some(&expected[..]), "{:#?}", plan);
            }
            Err(reject) => {
                let about_alignment = matches!(reject, Reject::Alignment { .. });
                prop_assert!(!case.aligned && about_alignment, "{}", reject);
            }
        }
    }
}

fn contiguous(dims: &[usize]) -> View {
    Layout::contiguous(dims.len()).view(DType::F32, dims)
}

/// `(2, 3)` times the transpose of a stored `(5, 3)`.
fn linear() -> [View; 3] {
    let weight = View::new(DType::F32, 0, &[3, 5], &[1, 3], 60).expect("in bounds");
    [contiguous(&[2, 3]), weight, contiguous(&[2, 5])]
}

#[test]
fn dimensions_are_reversed_and_stored_before_the_transposition() {
    let plan = plan(&linear(), 1.0).expect("a linear layer");
    let call = plan.calls[0];
    let sizes = call.map(|matrix| matrix.dimension_sizes());
    assert_eq!(sizes, [[3, 2], [3, 5], [5, 2]]);
    assert_eq!(call.map(|matrix| matrix.transposed), [false, true, false]);
}

/// `MPSNDArray` pads rows to 16 bytes unless it is told not to, and has no other stride.
#[test]
fn rows_of_an_array_are_packed() {
    let views = linear();
    let mut plan = plan(&views, 1.0).expect("a linear layer");
    plan.calls[0][1].row_bytes = 16;
    let fault = host(&views, 1).multiply_ndarray(&plan);
    let (slot, rule, bytes) = (Slot::Right, "rows of an array are packed", 16);
    assert_eq!(fault, Err(Fault::Descriptor { slot, rule, bytes }));
}

#[test]
fn a_shared_weight_makes_one_call_and_others_one_each() {
    let weight = View::new(DType::F32, 0, &[4, 3, 5], &[0, 1, 3], 60).expect("in bounds");
    let shared = [contiguous(&[4, 2, 3]), weight, contiguous(&[4, 2, 5])];
    let plan_shared = plan(&shared, 1.0).expect("a linear layer");
    assert_eq!(plan_shared.calls.len(), 1);
    assert_eq!(plan_shared.calls[0][0].dimension_sizes(), [3, 8]);
    let batched = [
        contiguous(&[4, 2, 3]),
        contiguous(&[4, 3, 5]),
        contiguous(&[4, 2, 5]),
    ];
    let calls = plan(&batched, 1.0).expect("a batch").calls;
    let offsets: Vec<usize> = calls.iter().map(|call| call[1].offset_bytes).collect();
    assert_eq!(offsets, [0, 60, 120, 180]);
}

#[test]
fn gaps_between_rows_are_rejected() {
    let mut views = linear();
    views[0] = View::new(DType::F32, 0, &[2, 3], &[4, 1], 64).expect("in bounds");
    let reject = Reject::NotPacked {
        slot: Slot::Left,
        row_bytes: 16,
        columns: 3,
    };
    assert_eq!(plan(&views, 1.0), Err(reject));
}

#[test]
fn there_is_no_addend() {
    let [left, right, result] = &linear();
    let beta = 0.5;
    let gemm = Gemm {
        beta,
        ..Gemm::new(left, right, result)
    };
    let plan = NdArrayMultiplication::plan(&gemm);
    assert_eq!(plan, Err(Reject::Beta { beta }));
    let gemm = Gemm {
        addend: Some(result),
        ..gemm
    };
    let plan = NdArrayMultiplication::plan(&gemm);
    assert_eq!(plan, Err(Reject::SeparateAddend));
}

#[test]
fn sizes_that_do_not_match_are_a_fault() {
    let views = linear();
    let mut plan = plan(&views, 1.0).expect("a linear layer");
    plan.calls[0][1].transposed = false;
    let fault = Fault::Shape {
        slot: Slot::Right,
        expected: [3, 3],
        got: [5, 3],
    };
    assert_eq!(host(&views, 1).multiply_ndarray(&plan), Err(fault));
}
