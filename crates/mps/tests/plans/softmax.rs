//! `MatrixSoftMax`.

use candle_core::DType;
use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::{MatrixSoftMax, Reject, Slot, View, scalar};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::layouts::{Fastest, Layout, buffer, cases, is_aligned, layout};
use crate::naive;

#[derive(Debug, Clone)]
struct Case {
    source: View,
    result: View,
    seed: u64,
    aligned: bool,
}

fn case() -> impl Strategy<Value = Case> {
    (1..6usize).prop_flat_map(|rank| {
        let layouts = (
            layout(rank, Fastest::Last, true),
            layout(rank, Fastest::Last, false),
        );
        let dtype = select(vec![DType::F32, DType::F16]);
        let alignment = select(vec![(1, 1), (8, 1), (8, 8)]);
        (
            layouts,
            vec(1..5usize, rank),
            dtype,
            alignment,
            any::<u64>(),
        )
            .prop_map(|((source, result), dims, dtype, alignment, seed)| {
                let view = |mut layout: Layout| {
                    (layout.stride_multiple, layout.offset_multiple) = alignment;
                    layout.view(dtype, &dims)
                };
                let aligned = alignment == (8, 8) || dtype == DType::F32;
                Case {
                    source: view(source),
                    result: view(result),
                    seed,
                    aligned,
                }
            })
    })
}

fn run(case: &Case, plan: &MatrixSoftMax) -> (Vec<u8>, Vec<u8>) {
    let views = [&case.source, &case.result];
    let buffers = [0, 1].map(|i| buffer(views[i], case.seed.wrapping_add(i as u64)));
    let expected = naive::soft_max(views, buffers.each_ref().map(|b| &b[..]));
    let [source, result] = buffers;
    let mut host = Host::default();
    host.insert(Slot::Source, source);
    host.insert(Slot::Result, result);
    host.soft_max(plan).expect("a plan stays in its buffers");
    (
        host.bytes(Slot::Result).expect("inserted").to_vec(),
        expected,
    )
}

proptest! {
    #![proptest_config(cases(1500))]

    /// Rows with contiguous elements, evenly spaced, are planned and right; f16 may be off its
    /// alignment.
    #[test]
    fn soft_max_is_exact_or_rejected(case in case()) {
        match MatrixSoftMax::plan(&case.source, &case.result) {
            Ok(plan) => {
                let (got, expected) = run(&case, &plan);
                prop_assert_eq!(got, expected, "{:#?}", plan);
                let matrices = [&plan.source, &plan.result];
                prop_assert!(matrices.into_iter().all(is_aligned), "{:#?}", plan);
            }
            Err(Reject::Alignment { .. }) => prop_assert!(!case.aligned),
            Err(Reject::Uneven { .. }) => prop_assert!(case.source.rank() > 2),
            Err(reject) => prop_assert!(matches!(reject, Reject::RowsOverlap { .. }), "{}", reject),
        }
    }
}

fn row(values: &[f32]) -> Vec<f64> {
    let view = Layout::contiguous(1).view(DType::F32, &[values.len()]);
    let plan = MatrixSoftMax::plan(&view, &view).expect("a contiguous row");
    let mut host = Host::default();
    host.insert(
        Slot::Source,
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect(),
    );
    host.insert(Slot::Result, vec![0; 4 * values.len()]);
    host.soft_max(&plan).expect("in bounds");
    let bytes = host.bytes(Slot::Result).expect("inserted");
    bytes
        .chunks(4)
        .map(|element| scalar::decode(DType::F32, element))
        .collect()
}

fn assert_close(got: &[f64], expected: &[f64]) {
    let close = got
        .iter()
        .zip(expected)
        .all(|(g, e)| (g - e).abs() <= 1e-7 * e.abs());
    assert!(close && got.len() == expected.len(), "{got:?} {expected:?}");
}

#[test]
fn logarithms_of_counts_become_shares() {
    let logs = [1f32, 2.0, 5.0].map(f32::ln);
    assert_close(&row(&logs), &[0.125, 0.25, 0.625]);
}

#[test]
fn large_values_do_not_overflow_and_masked_ones_vanish() {
    assert_eq!(row(&[3e38, 3e38]), [0.5, 0.5]);
    assert_eq!(row(&[0.0, f32::NEG_INFINITY]), [1.0, 0.0]);
    let masked = row(&[f32::NEG_INFINITY; 2]);
    assert!(masked.iter().all(|value| value.is_nan()), "{masked:?}");
}

#[test]
fn a_last_dimension_with_a_stride_is_rejected() {
    let source = View::new(DType::F32, 0, &[2, 3], &[1, 2], 24).expect("in bounds");
    let result = Layout::contiguous(2).view(DType::F32, &[2, 3]);
    let reject = |slot| Reject::StridedRow {
        slot,
        column_stride: 2,
    };
    let plan = MatrixSoftMax::plan(&source, &result);
    assert_eq!(plan, Err(reject(Slot::Source)));
    let plan = MatrixSoftMax::plan(&result, &source);
    assert_eq!(plan, Err(reject(Slot::Result)));
}

#[test]
fn a_result_that_overlaps_itself_is_rejected() {
    let source = Layout::contiguous(2).view(DType::F32, &[2, 3]);
    let (dims, strides) = (vec![2, 3], vec![0, 1]);
    let result = View::new(DType::F32, 0, &dims, &strides, 12).expect("in bounds");
    let plan = MatrixSoftMax::plan(&source, &result);
    assert_eq!(plan, Err(Reject::ResultOverlaps { dims, strides }));
}

#[test]
fn attention_scores_are_one_matrix() {
    let scores = Layout::contiguous(4).view(DType::F32, &[2, 4, 8, 8]);
    let plan = MatrixSoftMax::plan(&scores, &scores).expect("contiguous");
    let source = plan.source;
    assert_eq!([source.rows, source.columns, source.matrices], [64, 8, 1]);
}

#[test]
fn rows_have_gaps_of_one_size() {
    let source = |strides: [usize; 3]| {
        View::new(DType::F32, 0, &[3, 2, 4], &strides, 256).expect("in bounds")
    };
    let result = Layout::contiguous(3).view(DType::F32, &[3, 2, 4]);
    let even = MatrixSoftMax::plan(&source([12, 6, 1]), &result).expect("rows");
    assert_eq!((even.source.rows, even.source.row_bytes), (6, 24));
    assert_eq!((even.result.rows, even.result.row_bytes), (6, 16));
    let (slot, strides) = (Slot::Source, vec![12, 4, 1]);
    let uneven = MatrixSoftMax::plan(&source([12, 4, 1]), &result);
    assert_eq!(uneven, Err(Reject::Uneven { slot, strides }));
}
