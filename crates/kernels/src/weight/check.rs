//! Checks that all formats make.

use super::Packed;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// Check that the number `what` is one of those that there are.
pub(super) fn one_of(
    op: &'static str,
    what: &'static str,
    expected: &[usize],
    got: usize,
) -> Result<()> {
    match expected.contains(&got) {
        true => Ok(()),
        false => Err(value(op, what, format!("one of {expected:?}"), got)),
    }
}

/// Check that a tensor is `(N, width)` of one of `dtypes`.
pub(super) fn rows(
    op: &'static str,
    what: &'static str,
    (n, width): (usize, usize),
    got: &Tensor,
    dtypes: &'static [DType],
) -> Result<()> {
    if got.dims() != [n, width] {
        return Err(Error::shape(op, what, format!("({n}, {width})"), got));
    }
    dtype(op, what, got, dtypes)
}

/// Check that a tensor is of one of `dtypes`.
pub(super) fn dtype(
    op: &'static str,
    what: &'static str,
    got: &Tensor,
    dtypes: &'static [DType],
) -> Result<()> {
    match dtypes.contains(&got.dtype()) {
        true => Ok(()),
        false => {
            let expected = format!("one of {dtypes:?} for {what}");
            Err(value(op, "dtype", expected, format!("{:?}", got.dtype())))
        }
    }
}

/// Check that there are kernels for a packed matrix where it lies.
pub(super) fn computable<P: Packed>(op: &'static str, packed: P) -> Result<P> {
    let device = packed.device();
    match device.is_cpu() || device.is_metal() && packed.msl().is_some() {
        true => Ok(packed),
        false => {
            let expected = format!("one that has kernels for {}", packed.kind());
            let got = format!("{:?}", device.location());
            Err(value(op, "device", expected, got))
        }
    }
}

/// Check that a tensor has so many numbers of a dtype, in any shape.
pub(super) fn numbers(
    op: &'static str,
    what: &'static str,
    count: usize,
    got: &Tensor,
    dtype: DType,
) -> Result<()> {
    if got.elem_count() != count {
        let expected = format!("({count}), of any dimensions");
        return Err(Error::shape(op, what, expected, got));
    }
    match got.dtype() == dtype {
        true => Ok(()),
        false => Err(value(
            op,
            what,
            format!("{dtype:?}"),
            format!("{:?}", got.dtype()),
        )),
    }
}

/// Check that numbers to be packed are finite.
pub(super) fn finite(op: &'static str, numbers: &[f32]) -> Result<()> {
    match numbers.iter().find(|number| !number.is_finite()) {
        None => Ok(()),
        Some(number) => Err(value(op, "number", "finite", number)),
    }
}

/// Check that no byte stands for NaN: `found` is the first that does, and what it is.
pub(super) fn no_nan(op: &'static str, found: Option<(&'static str, u8)>) -> Result<()> {
    match found {
        None => Ok(()),
        Some((what, byte)) => {
            let got = format!("NaN (the byte {byte:#04x})");
            Err(value(op, what, "a number", got))
        }
    }
}

/// The error that `what` is not as expected.
pub(super) fn value(
    op: &'static str,
    what: &'static str,
    expected: impl Into<String>,
    got: impl ToString,
) -> Error {
    Error::Value {
        op,
        what,
        expected: expected.into(),
        got: got.to_string(),
    }
}
