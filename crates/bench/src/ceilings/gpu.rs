//! Ceilings of a GPU, as far as work that it is given through candle shows.

use super::Ceiling;
use crate::clock::{Clock, Once, Spread, alternate};
use candle_core::{DType, Device, Tensor};
use metal_candle_cli::error::Result;
use std::time::Duration;

/// Work is made larger until it takes this long: the wait and the launch are then small beside it.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// Rows and columns of the first and the largest product.
const ROWS: [usize; 2] = [64, 8192];

/// float32 numbers of the first and the largest copy: 1 MiB and 1 GiB.
const NUMBERS: [usize; 2] = [256 << 10, 256 << 20];

/// The rates of `device`.
///
/// # Errors
/// When it fails, or has too little memory for a few of the smallest.
pub fn of_gpu(device: &Device, budget: Duration) -> Result<Ceiling> {
    let clock = Clock::new(device, 1);
    let one = Tensor::ones(1, DType::F32, device)?;
    let wait = best(&clock, budget, &|| Ok(one.affine(1.0, 1.0)?))?;
    Ok(Ceiling {
        threads: None,
        read_bytes_per_sec: None,
        copy_bytes_per_sec: copy_rate(&clock, budget)?,
        memory_bytes: None,
        caches: vec![],
        flops_per_sec: product_rate(&clock, budget)?,
        wait_secs: Some(wait),
    })
}

type Work<'a> = dyn Fn() -> Result<Tensor> + 'a;

/// The shortest of several runs in seconds.
fn best(clock: &Clock, budget: Duration, work: &Work<'_>) -> Result<f64> {
    let once: Once<'_> = Box::new(|| clock.timed(work));
    let secs = alternate(budget, &mut [once])?.remove(0);
    Ok(Spread::of(secs).map_or(f64::INFINITY, |spread| spread.min_secs))
}

/// The highest rate over sizes that take long enough.
fn best_of_growing(
    clock: &Clock,
    budget: Duration,
    [first, last]: [usize; 2],
    amount: impl Fn(usize) -> f64,
    work: impl Fn(usize) -> Result<Box<Work<'static>>>,
) -> Result<f64> {
    let mut size = first;
    loop {
        let work = work(size)?;
        // The first run compiles.
        clock.timed(&work)?;
        if size >= last || clock.timed(&work)? >= LONG_ENOUGH {
            return Ok(amount(size) / best(clock, budget, &work)?);
        }
        size *= 2;
    }
}

/// Bytes read and written a second. `Tensor::copy` copies nothing on Metal.
fn copy_rate(clock: &Clock, budget: Duration) -> Result<f64> {
    let device = clock.device().clone();
    let bytes = |n: usize| (2 * n * size_of::<f32>()) as f64;
    best_of_growing(clock, budget, NUMBERS, bytes, move |n| {
        let from = Tensor::ones(n, DType::F32, &device)?;
        Ok(Box::new(move || Ok(from.force_contiguous()?)))
    })
}

/// Multiplications and additions a second.
fn product_rate(clock: &Clock, budget: Duration) -> Result<f64> {
    let flops = |n: usize| 2.0 * (n as f64).powi(3);
    let rate = |product: Multiply| {
        let device = clock.device().clone();
        best_of_growing(clock, budget, ROWS, flops, move |n| {
            let x = Tensor::ones((n, n), DType::F32, &device)?;
            Ok(Box::new(move || product(&x)))
        })
    };
    let ours = rate(|x| Ok(metal_candle_kernels::matmul(x, x)?))?;
    Ok(ours.max(rate(|x| Ok(x.matmul(x)?))?))
}

type Multiply = fn(&Tensor) -> Result<Tensor>;

#[cfg(test)]
mod tests {
    use super::*;

    /// The processor can be measured in the same way, if worse.
    #[test]
    fn rates_are_those_of_work_that_takes_long_enough() {
        let clock = Clock::new(&Device::Cpu, 1);
        let sizes = std::cell::RefCell::new(vec![]);
        let rate = best_of_growing(
            &clock,
            Duration::ZERO,
            [1, 64],
            |size| size as f64,
            |size| {
                sizes.borrow_mut().push(size);
                Ok(Box::new(move || {
                    // So far from long enough that a busy machine makes no difference.
                    let is_long = size >= 16;
                    std::thread::sleep(if is_long {
                        2 * LONG_ENOUGH
                    } else {
                        LONG_ENOUGH / 50
                    });
                    Ok(Tensor::ones(1, DType::F32, &Device::Cpu)?)
                }))
            },
        );
        assert_eq!(*sizes.borrow(), [1, 2, 4, 8, 16]);
        let rate = rate.unwrap();
        let most = 16.0 / (2 * LONG_ENOUGH).as_secs_f64();
        assert!(rate > 0.0 && rate <= most, "{rate} of {most}");
    }
}
