//! Checks of sums of squares: many tensors, of one part and of several, in any layout and place.

use super::{sum_and_squares, sums_of_squares};
use crate::testkit::Failure;
use candle_core::{Device, Result as CandleResult, Tensor};

/// Checks sums on `device` against float64.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let sizes = (0..35).map(|i| [i % 4 + 1, i * i * i % 97 + 1]);
    let sizes: Vec<[usize; 2]> = sizes
        .chain([[3, 30_000], [1, 32_768], [1, 32_769]])
        .collect();
    agree(&sizes, 1.0, device)?;
    agree(&sizes[..1], 1e15, device)?;
    not_finite(device)?;
    beside_a_sum(device)
}

/// A loss keeps its sign, whatever is read with it.
fn beside_a_sum(device: &Device) -> Result<(), Failure> {
    let loss = Tensor::new(-3.5f32, device)?;
    let others = (0..40).map(|_| Tensor::new(&[3f32, -4.0], device));
    let others = others.collect::<CandleResult<Vec<_>>>()?;
    let sums = sum_and_squares(&loss, &others.iter().collect::<Vec<_>>())?;
    match sums == (-3.5, vec![25.0; 40]) {
        true => Ok(()),
        false => Err(failure(&format!("a sum and squares {sums:?}"))),
    }
}

fn numbers(seed: usize, n: usize, size: f64) -> Vec<f32> {
    let number = |i| (size * ((i * 31 + seed * 7) as f64).sin()) as f32;
    (0..n).map(number).collect()
}

fn agree(sizes: &[[usize; 2]], size: f64, device: &Device) -> Result<(), Failure> {
    let host = sizes
        .iter()
        .enumerate()
        .map(|(i, [r, c])| numbers(i, r * c, size));
    let host: Vec<Vec<f32>> = host.collect();
    let on_device = |transposed: bool| {
        let tensors = host.iter().zip(sizes).map(|(numbers, &[r, c])| {
            let tensor = Tensor::from_slice(numbers, (r, c), device)?;
            if transposed { tensor.t() } else { Ok(tensor) }
        });
        tensors.collect::<CandleResult<Vec<_>>>()
    };
    let inside = |t: Tensor| {
        let longer = Tensor::cat(&[&t.narrow(1, 0, 1)?.flatten_all()?, &t.flatten_all()?], 0)?;
        longer.narrow(0, t.dim(0)?, t.elem_count())
    };
    let inside = on_device(false)?.into_iter().map(inside);
    let inside = inside.collect::<CandleResult<_>>()?;
    for tensors in [on_device(false)?, on_device(true)?, inside] {
        let got = sums_of_squares(&tensors.iter().collect::<Vec<_>>())?;
        let square =
            |numbers: &Vec<f32>| numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let want: Vec<f64> = host.iter().map(square).collect();
        let close = got
            .iter()
            .zip(&want)
            .all(|(got, want)| (got - want).abs() <= 1e-5 * want);
        if got.len() != want.len() || !close {
            return Err(failure(&format!(
                "sums of squares {got:?}, expected {want:?}"
            )));
        }
    }
    Ok(())
}

/// A number that is none shows, wherever it is.
fn not_finite(device: &Device) -> Result<(), Failure> {
    for fault in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let mut last = numbers(0, 40_000, 1.0);
        last[39_999] = fault;
        let fine = Tensor::from_vec(numbers(1, 5, 1.0), 5, device)?;
        let sums = sums_of_squares(&[&fine, &Tensor::from_vec(last, 40_000, device)?])?;
        if !sums[0].is_finite() || sums[1].is_finite() {
            return Err(failure(&format!("sums of squares {sums:?} with {fault}")));
        }
    }
    Ok(())
}

fn failure(text: &str) -> Failure {
    candle_core::Error::msg(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }
}
