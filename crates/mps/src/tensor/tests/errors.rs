//! Refusals, and what they are called.

use candle_core::{DType, Tensor};

use super::matmul::values;
use crate::plan::{Engine, Reject, Slot};
use crate::tensor::{Error, MatMulOptions, MpsMatMul};

fn product(left: &Tensor, right: &Tensor) -> String {
    left.mps_matmul(right).expect_err("refused").to_string()
}

fn tensor(shape: &[usize]) -> Tensor {
    values(shape, DType::F32, 1)
}

#[test]
fn dimensions() {
    let left = tensor(&[2, 3]);
    for right in [&[2, 3][..], &[4, 2], &[2, 4, 3]] {
        let error = left.mps_matmul(&tensor(right)).expect_err("refused");
        assert!(matches!(error, Error::Dimensions { .. }), "{error}");
    }
    let error = product(&tensor(&[2, 2, 3]), &tensor(&[3, 3, 4]));
    let expected = "cannot multiply [2, 2, 3] by [3, 3, 4] (shapes after transposition)";
    assert_eq!(error, expected);
    let error = product(&left, &tensor(&[3]));
    assert_eq!(error, "right: shape [3], needs at least two dimensions");
}

#[test]
fn addends() {
    let (left, right) = (tensor(&[2, 3]), tensor(&[3, 4]));
    for shape in [&[3][..], &[2, 2, 4], &[4, 2]] {
        let addend = tensor(shape);
        let options = MatMulOptions {
            addend: Some(&addend),
            ..Default::default()
        };
        let error = left.mps_matmul_with(&right, &options).expect_err("refused");
        assert!(matches!(error, Error::Addend { .. }), "{error}");
    }
}

#[test]
fn types() {
    let (left, right) = (tensor(&[2, 3]), values(&[3, 4], DType::F16, 1));
    assert_eq!(product(&left, &right), "right is F16, must be F32");
    let wide = left.to_dtype(DType::F64).unwrap();
    let error = "left is F64, must be F32, F16 or BF16";
    assert_eq!(product(&wide, &right), error);
}

/// An error keeps its type on the way through candle.
#[test]
fn limits_of_an_engine() {
    let (left, right) = (
        values(&[2, 8], DType::BF16, 1),
        values(&[8, 4], DType::BF16, 1),
    );
    let limit = |engine| {
        let options = MatMulOptions {
            engine: Some(engine),
            ..Default::default()
        };
        match left.mps_matmul_with(&right, &options) {
            Err(Error::Limit(reject)) => reject,
            other => panic!("{other:?}"),
        }
    };
    let kernel = "MPSMatrixMultiplication";
    let operands = vec![DType::BF16; 2];
    let result = DType::BF16;
    let no_bf16 = Reject::Types {
        kernel,
        operands,
        result,
    };
    assert_eq!(limit(Engine::Matrix), no_bf16);
    let (rows, columns) = (2, 4);
    let no_vector = Reject::NotAVector { rows, columns };
    assert_eq!(limit(Engine::Gemv), no_vector);
    assert_eq!(no_bf16.operand(), None::<Slot>);
}
