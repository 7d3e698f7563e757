//! What batches and layouts turn into.

use candle_core::DType;
use metal_candle_mps::plan::{Gemm, Matrix, MatrixMultiplication, Reject, Slot, View};

use crate::layouts::Layout;

const F32: DType = DType::F32;
const F16: DType = DType::F16;

fn strided(dtype: DType, offset_bytes: usize, dims: &[usize], strides: &[usize]) -> View {
    View::new(dtype, offset_bytes, dims, strides, 1 << 24).expect("in bounds")
}

fn contiguous(dims: &[usize]) -> View {
    Layout::contiguous(dims.len()).view(F32, dims)
}

fn plan(left: &View, right: &View, result: &View) -> Result<MatrixMultiplication, Reject> {
    MatrixMultiplication::plan(&Gemm::new(left, right, result))
}

fn calls(left: &View, right: &View, result: &View) -> Vec<[Matrix; 3]> {
    plan(left, right, result).expect("a plan").calls
}

#[test]
fn tokens_times_a_shared_weight_are_one_matrix() {
    // (B, T, K) times W stored as (N, K)
    let left = contiguous(&[4, 6, 8]);
    let right = strided(F32, 0, &[4, 8, 5], &[0, 1, 8]);
    let plan = plan(&left, &right, &contiguous(&[4, 6, 5])).expect("a linear layer");
    assert!(!plan.kernel.transpose_left && plan.kernel.transpose_right);
    let kernel = plan.kernel;
    assert_eq!([kernel.rows, kernel.columns, kernel.interior], [24, 5, 8]);
    assert_eq!((plan.calls.len(), plan.calls[0][2].matrices), (1, 1));
    let weight = plan.calls[0][1];
    assert_eq!((weight.rows, weight.columns, weight.row_bytes), (5, 8, 32));
}

#[test]
fn rows_are_not_folded_past_the_largest_dimension() {
    let product = |batch: usize| {
        let left = contiguous(&[batch, 1024, 1]);
        let right = strided(F32, 0, &[batch, 1, 2], &[0, 2, 1]);
        plan(&left, &right, &contiguous(&[batch, 1024, 2])).expect("within limits")
    };
    let [folded, split] = [31, 32].map(product);
    assert_eq!((folded.kernel.rows, folded.calls.len()), (31 * 1024, 1));
    assert_eq!((split.kernel.rows, split.calls.len()), (1024, 32));
}

#[test]
fn separate_matrices_are_one_array() {
    let calls = calls(
        &contiguous(&[3, 4, 5]),
        &contiguous(&[3, 5, 6]),
        &contiguous(&[3, 4, 6]),
    );
    assert_eq!(calls.len(), 1);
    let arrays = calls[0].map(|m| (m.matrices, m.matrix_bytes));
    assert_eq!(arrays, [(3, 80), (3, 120), (3, 96)]);
}

#[test]
fn grouped_queries_fold_into_rows_of_their_key() {
    // (B, H_kv, G, T, D) times (B, H_kv, 1, D, S), broadcast over G
    let left = contiguous(&[2, 3, 4, 5, 8]);
    let right = strided(F32, 0, &[2, 3, 4, 8, 7], &[168, 56, 0, 1, 8]);
    let plan = plan(&left, &right, &contiguous(&[2, 3, 4, 5, 7])).expect("grouped queries");
    assert_eq!(plan.kernel.rows, 4 * 5);
    assert_eq!((plan.calls.len(), plan.calls[0][2].matrices), (1, 6));
}

#[test]
fn heads_inside_rows_are_split_into_calls() {
    // (B, H, T, D) of a (B, T, H, D) tensor: a head starts inside the row of the one before
    let left = strided(F32, 0, &[2, 3, 5, 8], &[120, 8, 24, 1]);
    let calls = calls(
        &left,
        &contiguous(&[2, 3, 8, 4]),
        &contiguous(&[2, 3, 5, 4]),
    );
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call[2].matrices == 2));
    let offsets: Vec<usize> = calls.iter().map(|call| call[0].offset_bytes).collect();
    assert_eq!(offsets, [0, 32, 64]);
}

#[test]
fn a_batch_stride_that_is_not_one_of_an_array_is_split_into_calls() {
    // 4 rows of 5 elements: whole rows, and as many as a matrix has, or it is no array.
    let product = |stride| {
        let left = strided(F32, 0, &[3, 4, 5], &[stride, 5, 1]);
        calls(&left, &contiguous(&[3, 5, 6]), &contiguous(&[3, 4, 6])).len()
    };
    assert_eq!([15, 20, 21, 24, 25].map(product), [3, 1, 3, 3, 1]);
}

#[test]
fn a_factor_shared_by_a_batch_is_split_into_calls() {
    let left = strided(F32, 0, &[3, 4, 5], &[0, 5, 1]);
    let calls = calls(&left, &contiguous(&[3, 5, 6]), &contiguous(&[3, 4, 6]));
    let offsets = calls
        .iter()
        .map(|call| [call[0].offset_bytes, call[1].offset_bytes]);
    let offsets: Vec<[usize; 2]> = offsets.collect();
    assert_eq!(offsets, [[0, 0], [0, 120], [0, 240]]);
}

#[test]
fn a_single_row_takes_the_stride_of_its_batch() {
    // Rows of 5 elements, 7 apart: an array of one-row matrices.
    let left = strided(F32, 0, &[3, 1, 5], &[7, 5, 1]);
    let calls = calls(&left, &contiguous(&[3, 5, 6]), &contiguous(&[3, 1, 6]));
    let array = calls[0][0];
    assert_eq!(
        [array.matrices, array.row_bytes, array.matrix_bytes],
        [3, 28, 28]
    );
}

#[test]
fn narrowed_half_columns_start_at_an_origin() {
    // Columns 3..11 of rows of 16 elements.
    let left = strided(F16, 64 + 6, &[4, 8], &[16, 1]);
    let plan = plan(
        &left,
        &strided(F16, 0, &[8, 8], &[8, 1]),
        &strided(F16, 0, &[4, 8], &[8, 1]),
    );
    let call = plan.expect("the row has room").calls[0];
    assert_eq!(call[0].offset_bytes, 64);
    assert_eq!((call[0].columns, call[0].origin), (11, 3));
    assert_eq!(call[1].origin, 0);
}

#[test]
fn a_single_row_of_halves_is_longer_by_its_origin() {
    let left = strided(F16, 64 + 6, &[1, 8], &[8, 1]);
    let right = strided(F16, 0, &[8, 8], &[8, 1]);
    let plan = plan(&left, &right, &strided(F16, 0, &[1, 8], &[8, 1])).expect("a row");
    let row = plan.calls[0][0];
    assert_eq!((row.offset_bytes, row.origin), (64, 3));
    assert_eq!([row.columns, row.row_bytes, row.matrix_bytes], [11, 22, 22]);
}

#[test]
fn a_contiguous_column_of_halves_is_a_row_transposed() {
    // As 8 rows of one element it would have rows of 2 B.
    let right = strided(F16, 0, &[8, 1], &[1, 1]);
    let result = strided(F16, 0, &[4, 1], &[8, 1]);
    let plan = plan(&strided(F16, 0, &[4, 8], &[8, 1]), &right, &result).expect("a row");
    let column = plan.calls[0][1];
    assert!(plan.kernel.transpose_right);
    assert_eq!([column.rows, column.columns, column.row_bytes], [1, 8, 16]);
}

#[test]
fn half_offsets_that_no_origin_can_make_up_for_are_rejected() {
    let right = strided(F16, 0, &[8, 8], &[8, 1]);
    let result = strided(F16, 0, &[4, 8], &[8, 1]);
    let reject = Reject::Alignment {
        slot: Slot::Left,
        what: "offset",
        bytes: 6,
        multiple: 16,
    };
    let packed = strided(F16, 6, &[4, 8], &[8, 1]);
    assert_eq!(plan(&packed, &right, &result), Err(reject.clone()));
    let transposed = strided(F16, 6, &[4, 8], &[1, 16]);
    assert_eq!(plan(&transposed, &right, &result), Err(reject));
}

#[test]
fn what_is_not_a_matrix_is_rejected() {
    let (right, result) = (contiguous(&[3, 2]), contiguous(&[4, 2]));
    let slot = Slot::Left;
    let strided_by = |row_stride, column_stride| Reject::Strided {
        slot,
        row_stride,
        column_stride,
    };
    let overlap = |row_stride, columns| Reject::RowsOverlap {
        slot,
        row_stride,
        columns,
    };
    for (strides, reject) in [
        ([6, 2], strided_by(6, 2)),
        ([3, 0], strided_by(3, 0)),
        ([0, 1], overlap(0, 3)),
        ([2, 1], overlap(2, 3)),
        ([1, 3], overlap(3, 4)),
    ] {
        let left = strided(F32, 0, &[4, 3], &strides);
        assert_eq!(plan(&left, &right, &result), Err(reject), "{strides:?}");
    }
}

#[test]
fn results_that_cannot_be_written_are_rejected() {
    let (left, right) = (contiguous(&[2, 4, 3]), contiguous(&[2, 3, 5]));
    let columns = strided(F32, 0, &[2, 4, 5], &[20, 1, 4]);
    let reject = Reject::ResultByColumns { strides: [1, 4] };
    assert_eq!(plan(&left, &right, &columns), Err(reject));
    let (dims, strides) = (vec![2, 4, 5], vec![0, 5, 1]);
    let shared = strided(F32, 0, &dims, &strides);
    assert_eq!(
        plan(&left, &right, &shared),
        Err(Reject::ResultOverlaps { dims, strides })
    );
}

#[test]
fn dims_that_do_not_go_together_are_rejected() {
    let shape = |slot, expected: &[usize], got: &[usize]| {
        Err(Reject::Shape {
            slot,
            expected: expected.to_vec(),
            got: got.to_vec(),
        })
    };
    let left = contiguous(&[2, 4, 3]);
    let right = contiguous(&[2, 3, 5]);
    let result = contiguous(&[2, 4, 5]);
    let interior = contiguous(&[2, 4, 5]);
    let batch = contiguous(&[3, 3, 5]);
    let flat = contiguous(&[4, 5]);
    assert_eq!(
        plan(&left, &interior, &result),
        shape(Slot::Right, &[2, 3, 5], &[2, 4, 5])
    );
    assert_eq!(
        plan(&left, &batch, &result),
        shape(Slot::Right, &[2, 3, 5], &[3, 3, 5])
    );
    assert_eq!(
        plan(&left, &right, &flat),
        shape(Slot::Result, &[2, 4, 5], &[4, 5])
    );
}
