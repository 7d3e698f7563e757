//! `mps_softmax` and `mps_log_softmax`.

use candle_core::{D, DType, Tensor};

use super::matmul::{list, values};
use crate::tensor::MpsSoftMax;

fn assert_near(got: &Tensor, expected: &Tensor) {
    assert_eq!(got.dims(), expected.dims());
    for (got, expected) in list(got).into_iter().zip(list(expected)) {
        assert!(
            (got - expected).abs() <= 2e-6 * expected.abs().max(1.0),
            "{got} {expected}"
        );
    }
}

#[test]
fn rows_of_any_layout() {
    let x = values(&[3, 4, 5], DType::F32, 1);
    for x in [
        x.clone(),
        x.t().unwrap(),
        x.transpose(0, 1).unwrap(),
        x.narrow(2, 1, 3).unwrap(),
        x.narrow(1, 2, 1).unwrap(),
    ] {
        let exp = x.exp().unwrap();
        let sum = exp.sum_keepdim(D::Minus1).unwrap();
        assert_near(&x.mps_softmax().unwrap(), &exp.broadcast_div(&sum).unwrap());
        let log = x.broadcast_sub(&sum.log().unwrap()).unwrap();
        assert_near(&x.mps_log_softmax().unwrap(), &log);
    }
}

#[test]
fn halves_are_rounded_once() {
    let x = values(&[2, 5], DType::F16, 1);
    let wide = x.to_dtype(DType::F32).unwrap().mps_softmax().unwrap();
    assert_eq!(
        list(&x.mps_softmax().unwrap()),
        list(&wide.to_dtype(DType::F16).unwrap())
    );
}

#[test]
fn without_elements() {
    for shape in [&[0, 3][..], &[3, 0], &[0]] {
        assert_eq!(
            values(shape, DType::F32, 1).mps_softmax().unwrap().dims(),
            shape
        );
    }
}
