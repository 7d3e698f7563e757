//! Refusals, and what they are called.

use candle_core::{DType, Device, Tensor};

use super::matmul::values;
use crate::plan::{DataType, Engine, Reject, Slot};
use crate::tensor::{Error, MatMulOptions, MpsMatMul, MpsSoftMax, view_of};

fn product(left: &Tensor, right: &Tensor) -> Error {
    left.mps_matmul(right).expect_err("refused")
}

#[test]
fn dimensions() {
    let left = values(&[2, 3], DType::F32, 1);
    for right in [&[2, 3][..], &[4, 2], &[2, 4, 3]] {
        let error = product(&left, &values(right, DType::F32, 2));
        assert!(matches!(error, Error::Dimensions { .. }), "{error}");
    }
    let error = product(
        &values(&[2, 2, 3], DType::F32, 1),
        &values(&[3, 3, 4], DType::F32, 1),
    );
    let expected = "cannot multiply [2, 2, 3] by [3, 3, 4] (shapes after transposition)";
    assert_eq!(error.to_string(), expected);
    let error = product(&left, &values(&[3], DType::F32, 2));
    assert!(
        matches!(
            error,
            Error::Rank {
                operand: Slot::Right,
                min: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn addends() {
    let (left, right) = (
        values(&[2, 3], DType::F32, 1),
        values(&[3, 4], DType::F32, 1),
    );
    for shape in [&[3][..], &[2, 2, 4], &[4, 2]] {
        let addend = values(shape, DType::F32, 3);
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
    let (left, right) = (
        values(&[2, 3], DType::F32, 1),
        values(&[3, 4], DType::F16, 1),
    );
    let error = product(&left, &right);
    assert!(
        matches!(
            error,
            Error::DType {
                operand: Slot::Right,
                got: DType::F16,
                ..
            }
        ),
        "{error}"
    );
    let error = product(&left.to_dtype(DType::F64).unwrap(), &right);
    assert!(
        matches!(
            error,
            Error::DType {
                operand: Slot::Left,
                got: DType::F64,
                ..
            }
        ),
        "{error}"
    );
    let error = values(&[2, 3], DType::BF16, 1)
        .mps_softmax()
        .expect_err("refused");
    assert!(
        matches!(
            error,
            Error::DType {
                operand: Slot::Source,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn limits_of_an_engine() {
    let (left, right) = (
        values(&[2, 8], DType::BF16, 1),
        values(&[8, 4], DType::BF16, 1),
    );
    let options = MatMulOptions {
        engine: Some(Engine::Matrix),
        ..Default::default()
    };
    let error = left
        .mps_matmul_with(&right, &options)
        .expect_err("no bfloat16");
    assert!(
        matches!(error, Error::Limit(Reject::Types { .. })),
        "{error}"
    );
    let options = MatMulOptions {
        engine: Some(Engine::Gemv),
        ..Default::default()
    };
    let error = left
        .mps_matmul_with(&right, &options)
        .expect_err("no vector");
    assert!(
        matches!(
            error,
            Error::Limit(Reject::NotAVector {
                rows: 2,
                columns: 4
            })
        ),
        "{error}"
    );
}

#[test]
fn views_are_not_copies() {
    let x = Tensor::arange(0f32, 24., &Device::Cpu)
        .unwrap()
        .reshape((4, 6))
        .unwrap();
    let view = view_of(&x.narrow(1, 2, 3).unwrap().t().unwrap()).unwrap();
    assert_eq!((view.dims(), view.strides()), (&[3, 4][..], &[1, 6][..]));
    assert_eq!((view.offset_bytes(), view.buffer_len_bytes()), (8, 96));
    assert_eq!(view.dtype(), DataType::Float32);
    let empty = view_of(&values(&[0, 2], DType::F32, 1));
    assert!(matches!(empty, Err(Error::Limit(Reject::Empty { .. }))));
}
