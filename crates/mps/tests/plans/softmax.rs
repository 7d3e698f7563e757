//! `MatrixSoftMax`.

use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::{DataType, MatrixSoftMax, Reject, Slot, SoftMaxKind, View, scalar};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::layouts::{Fastest, Layout, buffer, cases, is_aligned, layout};
use crate::naive;

#[derive(Debug, Clone)]
struct Case {
    kind: SoftMaxKind,
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
        let kind = select(vec![SoftMaxKind::SoftMax, SoftMaxKind::LogSoftMax]);
        let dtype = select(vec![DataType::Float32, DataType::Float16]);
        let alignment = select(vec![(1, 1), (8, 1), (8, 8)]);
        (
            layouts,
            vec(1..5usize, rank),
            kind,
            dtype,
            alignment,
            any::<u64>(),
        )
            .prop_map(|((source, result), dims, kind, dtype, alignment, seed)| {
                let view = |mut layout: Layout| {
                    (layout.stride_multiple, layout.offset_multiple) = alignment;
                    layout.view(dtype, &dims)
                };
                let aligned = alignment == (8, 8) || dtype == DataType::Float32;
                Case {
                    kind,
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
    let expected = naive::soft_max(case.kind, views, buffers.each_ref().map(|b| &b[..]));
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

    /// Rows with contiguous elements are planned and right; f16 may be off its alignment.
    #[test]
    fn soft_max_is_exact_or_misaligned(case in case()) {
        match MatrixSoftMax::plan(case.kind, &case.source, &case.result) {
            Ok(plan) => {
                let (got, expected) = run(&case, &plan);
                prop_assert_eq!(got, expected, "{:#?}", plan);
                let mut matrices = plan.calls.iter().flat_map(|call| [&call.source, &call.result]);
                prop_assert!(matrices.all(is_aligned), "{:#?}", plan);
            }
            Err(reject) => {
                let about_alignment = matches!(reject, Reject::OffsetAlignment { .. });
                prop_assert!(!case.aligned && about_alignment, "{}", reject);
            }
        }
    }
}

fn row(kind: SoftMaxKind, values: &[f32]) -> Vec<f64> {
    let view = Layout::contiguous(1).view(DataType::Float32, &[values.len()]);
    let plan = MatrixSoftMax::plan(kind, &view, &view).expect("a contiguous row");
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
        .map(|element| scalar::decode(DataType::Float32, element))
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
    assert_close(&row(SoftMaxKind::SoftMax, &logs), &[0.125, 0.25, 0.625]);
    let expected = [0.125f64, 0.25, 0.625].map(f64::ln);
    assert_close(&row(SoftMaxKind::LogSoftMax, &logs), &expected);
}

#[test]
fn large_values_do_not_overflow_and_masked_ones_vanish() {
    assert_eq!(row(SoftMaxKind::SoftMax, &[3e38, 3e38]), [0.5, 0.5]);
    assert_eq!(
        row(SoftMaxKind::SoftMax, &[0.0, f32::NEG_INFINITY]),
        [1.0, 0.0]
    );
    let masked = row(SoftMaxKind::SoftMax, &[f32::NEG_INFINITY; 2]);
    assert!(masked.iter().all(|value| value.is_nan()), "{masked:?}");
}

#[test]
fn a_last_dimension_with_a_stride_is_rejected() {
    let source = View::new(DataType::Float32, 0, &[2, 3], &[1, 2], 24).expect("in bounds");
    let result = Layout::contiguous(2).view(DataType::Float32, &[2, 3]);
    let plan = |source, result| MatrixSoftMax::plan(SoftMaxKind::SoftMax, source, result);
    let reject = |slot| Reject::StridedRow {
        slot,
        column_stride: 2,
    };
    assert_eq!(plan(&source, &result), Err(reject(Slot::Source)));
    assert_eq!(plan(&result, &source), Err(reject(Slot::Result)));
}

#[test]
fn a_result_that_overlaps_itself_is_rejected() {
    let source = Layout::contiguous(2).view(DataType::Float32, &[2, 3]);
    let (dims, strides) = (vec![2, 3], vec![0, 1]);
    let result = View::new(DataType::Float32, 0, &dims, &strides, 12).expect("in bounds");
    let plan = MatrixSoftMax::plan(SoftMaxKind::SoftMax, &source, &result);
    assert_eq!(plan, Err(Reject::ResultOverlaps { dims, strides }));
}

#[test]
fn rows_shared_by_a_batch_are_read_again() {
    let source = View::new(DataType::Float32, 0, &[2, 3], &[0, 1], 12).expect("in bounds");
    let result = Layout::contiguous(2).view(DataType::Float32, &[2, 3]);
    let plan = MatrixSoftMax::plan(SoftMaxKind::SoftMax, &source, &result).expect("two rows");
    assert_eq!(
        plan.calls
            .iter()
            .map(|call| call.source.offset_bytes)
            .collect::<Vec<_>>(),
        [0, 0]
    );
    assert_eq!(
        plan.calls
            .iter()
            .map(|call| call.result.offset_bytes)
            .collect::<Vec<_>>(),
        [0, 12]
    );
}

#[test]
fn attention_scores_are_one_array_of_rows() {
    let scores = Layout::contiguous(4).view(DataType::Float32, &[2, 4, 8, 8]);
    let plan = MatrixSoftMax::plan(SoftMaxKind::SoftMax, &scores, &scores).expect("contiguous");
    assert_eq!(plan.calls.len(), 1);
    assert_eq!(
        (plan.calls[0].source_rows, plan.calls[0].batch_size),
        (64, 1)
    );
}

#[test]
fn a_gap_between_matrices_makes_an_array() {
    let source = View::new(DataType::Float32, 0, &[3, 2, 4], &[12, 4, 1], 256).expect("in bounds");
    let result = Layout::contiguous(3).view(DataType::Float32, &[3, 2, 4]);
    let plan = MatrixSoftMax::plan(SoftMaxKind::LogSoftMax, &source, &result).expect("rows");
    assert_eq!(plan.calls.len(), 1);
    let descriptor = plan.calls[0].source.descriptor;
    assert_eq!(
        (
            descriptor.rows,
            descriptor.matrices,
            descriptor.matrix_bytes
        ),
        (2, 3, 48)
    );
    assert_eq!(plan.calls[0].result.descriptor.matrix_bytes, 32);
}
