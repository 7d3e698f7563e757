//! What products of a matrix and a vector turn into.

use candle_core::DType;
use metal_candle_mps::plan::{Gemm, GemvPlan, Reject, Slot};

use crate::layouts::Layout;
use crate::steel::{F32, Operands, contiguous, product, strided};

#[test]
fn vectors_have_neighbours_and_packed_results() {
    let strided_vector = Operands::new(strided(0, &[1, 3], &[0, 2]), contiguous(&[3, 4]));
    let (slot, column_stride) = (Slot::Left, 2);
    assert_eq!(
        strided_vector.gemv(),
        Err(Reject::StridedRow {
            slot,
            column_stride
        })
    );
    let mut spaced = product(&[4, 3], &[3, 1]);
    spaced.result = strided(0, &[4, 1], &[2, 1]);
    assert_eq!(
        spaced.gemv(),
        Err(Reject::SpacedResult {
            len: 4,
            strides: [2, 4]
        })
    );
    let mut apart = product(&[2, 1, 3], &[2, 3, 4]);
    apart.result = strided(0, &[2, 1, 4], &[8, 4, 1]);
    assert_eq!(
        apart.gemv(),
        Err(Reject::SpacedResult {
            len: 4,
            strides: [1, 8]
        })
    );
    let matrices = product(&[4, 3], &[3, 2]).gemv();
    assert_eq!(
        matrices,
        Err(Reject::NotAVector {
            rows: 4,
            columns: 2
        })
    );
}

#[test]
fn threads_that_overlap_do_not_add_in_place() {
    let in_place = |n| product(&[1, 3], &[3, n]).with(None, (1.0, 1.0)).gemv();
    assert!(in_place(8).is_ok() && in_place(3).is_ok());
    assert_eq!(in_place(9), Err(Reject::SharedAddend { len: 9, step: 4 }));
}

#[test]
fn factors_that_a_half_does_not_hold_are_rejected() {
    let plan = |dtype, alpha| {
        let view = |dims: &[usize]| Layout::contiguous(2).view(dtype, dims);
        let (left, right, result) = (view(&[1, 3]), view(&[3, 4]), view(&[1, 4]));
        GemvPlan::plan(&Gemm {
            alpha,
            beta: 1.0,
            ..Gemm::new(&left, &right, &result)
        })
    };
    assert!(plan(DType::BF16, 0.5).is_ok());
    let (dtype, alpha, beta) = (DType::BF16, 0.3, 1.0);
    assert_eq!(
        plan(dtype, 0.3),
        Err(Reject::RoundedFactors { dtype, alpha, beta })
    );
    assert!(plan(F32, 0.3).is_ok());
}

#[test]
fn some_threads_would_miss_a_barrier() {
    let plan = |k, n| product(&[1, k], &[k, n]).gemv();
    assert!(plan(31, 33).is_ok() && plan(64, 64).is_ok());
    let reject = Reject::DivergentBarrier {
        columns: 33,
        multiple: 32,
    };
    assert_eq!(plan(32, 33), Err(reject));
}
