//! Checks of the choice: ties, numbers that are none, and rows of every length.

use super::most_likely;
use crate::testkit::Failure;
use candle_core::{Device, Tensor};

/// Checks all rows on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let waves = |n: usize| -> Vec<f32> { (0..n).map(|i| ((i * 37 % 101) as f32).sin()).collect() };
    for n in [1, 2, 4, 31, 33, 1024, 3001, 5000] {
        let rows = [
            waves(n),
            vec![-1.5; n],
            rising(n),
            with(n, f32::NEG_INFINITY),
        ];
        agree(&rows, device)?;
    }
    let wrong = [f32::NAN, -f32::NAN, f32::INFINITY].map(|fault| {
        let mut row = waves(70);
        row[69] = fault;
        row
    });
    agree(&wrong, device)?;
    agree(
        &[with(70, f32::NEG_INFINITY), vec![f32::NEG_INFINITY; 70]],
        device,
    )
}

fn rising(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

/// Numbers of which all but the last are one.
fn with(n: usize, number: f32) -> Vec<f32> {
    let mut row = vec![number; n];
    row[n - 1] = -3.0;
    row
}

fn agree(rows: &[Vec<f32>], device: &Device) -> Result<(), Failure> {
    let flat: Vec<f32> = rows.concat();
    let shape = (rows.len(), flat.len() / rows.len());
    let on_device = || -> crate::Result<_> {
        let logits = Tensor::from_vec(flat.clone(), shape, device)?;
        let across = Tensor::from_vec(flat.clone(), shape, device)?
            .t()?
            .contiguous()?;
        Ok([most_likely(&logits)?, most_likely(&across.t()?)?])
    };
    let got = on_device()?;
    let want: Vec<Option<u32>> = rows.iter().map(|row| first_of_the_largest(row)).collect();
    match got.iter().all(|got| *got == want) {
        true => Ok(()),
        false => {
            let error = format!("most_likely of {shape:?}: got {got:?}, expected {want:?}");
            Err(crate::Error::Candle(candle_core::Error::msg(error).bt()).into())
        }
    }
}

/// Token by sorting: largest first, and of these the first.
fn first_of_the_largest(row: &[f32]) -> Option<u32> {
    if row.iter().any(|x| x.is_nan() || *x == f32::INFINITY) {
        return None;
    }
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let first = *order.first()?;
    row[first].is_finite().then_some(first as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }
}
