//! Packing of the weights of test cases.

use super::Weight;
use super::affine::Affine;
use crate::Result;
use crate::testkit::Array;
use candle_core::{DType, Tensor};

/// The packing of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bits of a number.
    pub bits: usize,
    /// Numbers that share a scale and a bias.
    pub group: usize,
}

/// The weight of a case: the matrix, or packed with float32 scales.
///
/// # Errors
/// When it does not divide into groups.
pub fn weight_of(matrix: &Tensor, packing: Option<Packing>) -> Result<Weight> {
    let Some(Packing { bits, group }) = packing else {
        return Ok(matrix.clone().into());
    };
    Ok(Affine::quantize(&matrix.to_dtype(DType::F32)?, bits, group)?.into())
}

/// The numbers that the weight of a case stands for; NaN where it cannot be packed.
pub(crate) fn dense_of(matrix: &Array, packing: Option<Packing>) -> Array {
    if packing.is_none() {
        return matrix.clone();
    }
    let dense =
        || Array::from_tensor(&weight_of(&matrix.to_tensor(DType::F32)?, packing)?.dense()?);
    dense().unwrap_or_else(|_| Array::from_fn(&matrix.dims, |_| f64::NAN))
}
