//! Sums of the squares of tensors, read back at once: the norms of gradients, and whether they are finite.
//!
//! Tensors are of any shapes and floats, of one device; sums are float32 over parts of a tensor, and float64 over these. There is
//! no gradient.

#[cfg(any(test, feature = "testkit"))]
pub mod check;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;

use crate::Result;
use crate::graph::path::{Devices, metal};
use candle_core::{DType, Result as CandleResult, Tensor};

/// Sums of squares, or of the first tensor as it is.
type Squares = fn(&[&Tensor], bool) -> CandleResult<Vec<f64>>;

const DEVICES: Devices<Squares> = Devices {
    cpu: Some(reference),
    metal: metal!(metal::squares),
    cuda: Some(reference),
};

/// Sum of the squares of each tensor; this waits for the device.
///
/// # Errors
/// When memory runs out, or the device failed.
pub fn sums_of_squares(tensors: &[&Tensor]) -> Result<Vec<f64>> {
    sums(tensors, false)
}

/// Sum of a tensor, a loss for instance, and [`sums_of_squares`] of others, read back at once.
///
/// # Errors
/// As [`sums_of_squares`].
pub fn sum_and_squares(tensor: &Tensor, others: &[&Tensor]) -> Result<(f64, Vec<f64>)> {
    let all: Vec<&Tensor> = [tensor].into_iter().chain(others.iter().copied()).collect();
    let mut sums = sums(&all, true)?;
    let sum = sums.remove(0);
    Ok((sum, sums))
}

fn sums(tensors: &[&Tensor], plain_first: bool) -> Result<Vec<f64>> {
    let Some(first) = tensors.first() else {
        return Ok(vec![]);
    };
    let fits = |t: &&Tensor| t.dtype() == DType::F32 && t.elem_count() < MOST_NUMBERS;
    let run = match tensors.iter().all(fits) {
        true => DEVICES.kernel("squares", first, []),
        false => None,
    };
    Ok(run.unwrap_or(reference)(tensors, plain_first)?)
}

/// Numbers of a tensor that kernels count.
const MOST_NUMBERS: usize = 1 << 31;

fn reference(tensors: &[&Tensor], plain_first: bool) -> CandleResult<Vec<f64>> {
    let sums = tensors.iter().enumerate().map(|(i, t)| {
        let t = t.detach().to_dtype(DType::F32)?;
        match plain_first && i == 0 {
            true => t.sum_all(),
            false => t.sqr()?.sum_all(),
        }
    });
    let sums = sums.collect::<CandleResult<Vec<_>>>()?;
    let sums = Tensor::stack(&sums, 0)?.to_vec1::<f32>()?;
    Ok(sums.into_iter().map(f64::from).collect())
}
