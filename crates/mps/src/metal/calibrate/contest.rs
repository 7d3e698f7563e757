//! Work with and without MPS, in turns.

use std::time::{Duration, Instant};

use candle_core::{DType, MetalDevice, Tensor};

use super::Effort;
use crate::apple::{self, Error};
use crate::policy::Micros;

/// Work that is measured with and without MPS.
pub trait Contest {
    /// The outcome without MPS.
    fn without(&self) -> Result<Tensor, Error>;

    /// The outcome of MPS.
    fn by_mps(&self) -> Result<Tensor, Error>;

    /// Whether MPS gives the right numbers, and the same ones twice.
    fn is_right(&self) -> Result<bool, Error>;
}

/// How long the runs between two waits take together.
const SAMPLE: Duration = Duration::from_millis(5);
/// The most of them: candle keeps what they hold until the wait.
const MAX_RUNS: u32 = 16;

/// One measurement; none of work that is too short, too long, or wrong.
pub fn measure(
    device: &MetalDevice,
    work: &dyn Contest,
    effort: &Effort,
) -> Result<Option<Micros>, Error> {
    let without = || work.without();
    // The first run compiles.
    secs(device, 1, &without)?;
    let once = secs(device, 1, &without)?;
    let [shortest, longest] = effort.durations.map(|duration| duration.as_secs_f64());
    if !(shortest..=longest).contains(&once) || !work.is_right()? {
        return Ok(None);
    }
    let runs = (SAMPLE.as_secs_f64() / once).ceil() as u32;
    let [without, mps] = in_turns(device, work, runs.clamp(1, MAX_RUNS), effort.repeats)?;
    let saved: Vec<f64> = without.iter().zip(&mps).map(|(a, b)| a - b).collect();
    let micros = [median(without), median(mps), deviation(&saved)];
    Ok(Some(Micros(micros.map(rounded))))
}

/// Microseconds that MPS adds to work that takes no time itself.
pub fn overhead(
    device: &MetalDevice,
    work: &dyn Contest,
    runs: u32,
    repeats: usize,
) -> Result<f64, Error> {
    let [without, mps] = in_turns(device, work, runs, repeats)?;
    Ok(rounded((median(mps) - median(without)).max(0.0)))
}

/// Microseconds without and with MPS, which take turns; the first turn does not count.
fn in_turns(
    device: &MetalDevice,
    work: &dyn Contest,
    runs: u32,
    repeats: usize,
) -> Result<[Vec<f64>; 2], Error> {
    let mut micros = [vec![], vec![]];
    for turn in 0..=repeats {
        let without = secs(device, runs, &|| work.without())?;
        let mps = secs(device, runs, &|| work.by_mps())?;
        if turn > 0 {
            micros[0].push(without * 1e6);
            micros[1].push(mps * 1e6);
        }
    }
    Ok(micros)
}

/// Seconds of one of `runs` runs, with one wait for all.
fn secs(
    device: &MetalDevice,
    runs: u32,
    run: &dyn Fn() -> Result<Tensor, Error>,
) -> Result<f64, Error> {
    apple::sync(device)?;
    let began = Instant::now();
    for _ in 0..runs {
        drop(run()?);
    }
    apple::sync(device)?;
    Ok(began.elapsed().as_secs_f64() / f64::from(runs))
}

/// Whether all of `got` is as far from `expected` as `limit` says at most.
pub fn is_near(got: &Tensor, expected: &Tensor, limit: &Tensor) -> Result<bool, Error> {
    let wide = |t: &Tensor| t.to_dtype(DType::F32);
    let difference = (wide(got)? - wide(expected)?)?.abs()?;
    all(&difference.le(limit)?)
}

/// Whether no element is 0.
pub fn all(mask: &Tensor) -> Result<bool, Error> {
    let least = mask.to_dtype(DType::F32)?.flatten_all()?.min(0)?;
    Ok(least.to_scalar::<f32>()? == 1.0)
}

/// How far two sums of `terms` terms can be apart, as a part of the sum of their absolutes: float32
/// is rounded at every addition, and the results once more (Higham, Accuracy and Stability of
/// Numerical Algorithms, 3.1).
pub fn rounding(dtype: DType, terms: f64) -> f64 {
    let unit = match dtype {
        DType::BF16 => 2f64.powi(-8),
        DType::F16 => 2f64.powi(-11),
        _ => 2f64.powi(-24),
    };
    2.0 * (terms * 2f64.powi(-24) + unit)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Median absolute deviation.
fn deviation(values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    median(values.iter().map(|value| (value - middle).abs()).collect())
}

/// Tenths: a file of measurements is short.
fn rounded(micros: f64) -> f64 {
    (micros * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_around_the_median() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(deviation(&[1.0, 2.0, 9.0]), 1.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
