//! Measures which products MPS is faster at on this machine.
//!
//! A run takes under a minute, and says nothing of work that something else does at the same time.

mod measured;

use std::fmt;
use std::time::{Duration, Instant};

use candle_core::MetalDevice;

use super::use_calibration;
use crate::apple::{self, Error, litmus};
use crate::order::{LitmusRounds, Strategy};
use crate::plan::{DataType, Engine};
use crate::policy::{Bucket, Calibration, Caps, Cell, Storage};
use measured::Measured;

/// Effort of a measurement: how long and how hard.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Effort of the litmus test.
    pub litmus: apple::Effort,
    /// Binary logarithms of M, N and K; the most useful first.
    pub sizes: Vec<[u32; 3]>,
    /// Times of each engine, in turns.
    pub repeats: usize,
    /// Products that take candle's GEMM less or more than these are not measured: MPS does not pay
    /// for a shorter one, and a longer one is measured by its smaller neighbours.
    pub durations: [Duration; 2],
    /// No product is begun after this much time for all of them.
    pub budget: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            litmus: apple::Effort::default(),
            sizes: vec![[11, 11, 11], [10, 10, 10], [9, 11, 11], [12, 12, 12]],
            repeats: 7,
            durations: [Duration::from_micros(300), Duration::from_millis(50)],
            budget: Duration::from_secs(20),
        }
    }
}

/// Work that is being done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Whether a strategy orders work here.
    Litmus(Strategy),
    /// What the strategy adds to a product.
    Overhead(Strategy),
    /// The product after `done` of `of`.
    Product {
        /// How many are done, or left out.
        done: usize,
        /// How many there are.
        of: usize,
    },
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Litmus(strategy) => write!(f, "litmus test of {strategy}"),
            Self::Overhead(strategy) => write!(f, "what {strategy} adds to a product"),
            Self::Product { done, of } => write!(f, "product {} of {of}", done + 1),
        }
    }
}

/// Products between two waits while the cost of ordering them is measured.
const SMALL_PRODUCTS: u32 = 64;
/// Binary logarithms of their sizes.
const SMALL: [u32; 3] = [4; 3];
/// How long the products between two waits take together.
const SAMPLE: Duration = Duration::from_millis(5);
/// The most of them: candle keeps what they hold until the wait.
const MAX_RUNS: u32 = 16;

/// Tests the strategies, and measures what the best one costs and each product that it is worth
/// asking for. From then on `device`'s GPU is used by these measurements.
///
/// A product is among the measurements only if the numbers of MPS were those of candle's GEMM up to
/// the rounding of float32 sums, and the same to the bit twice. Where no strategy passes, or MPS
/// does not support the GPU, the measurements say so and name no product.
///
/// # Errors
///
/// What candle, or the GPU, reports.
pub fn calibrate(
    device: &MetalDevice,
    effort: &Effort,
    tell: &mut dyn FnMut(Progress),
) -> Result<Calibration, Error> {
    let caps = apple::caps(device)?;
    let (strategy, litmus) = match caps.mps {
        true => best_strategy(device, effort, tell)?,
        false => (Strategy::Blocking, NOT_RUN),
    };
    let mut calibration = Calibration {
        key: apple::key(device, strategy)?,
        litmus,
        overhead_micros: 0.0,
        cells: vec![],
    };
    // What follows is ordered as was just tested.
    use_calibration(device, calibration.clone())?;
    if litmus.passed() {
        tell(Progress::Overhead(strategy));
        calibration.overhead_micros = overhead_micros(device, &caps, effort)?;
        calibration.cells = cells(device, &caps, effort, tell)?;
        use_calibration(device, calibration.clone())?;
    }
    Ok(calibration)
}

const NOT_RUN: LitmusRounds = LitmusRounds {
    rounds: 0,
    failures: 0,
};

/// The first that passes, the one that costs least first; else the last.
fn best_strategy(
    device: &MetalDevice,
    effort: &Effort,
    tell: &mut dyn FnMut(Progress),
) -> Result<(Strategy, LitmusRounds), Error> {
    let same_buffer = cfg!(metal_candle_same_buffer).then_some(Strategy::SameBuffer);
    for strategy in same_buffer.into_iter().chain([Strategy::FenceBridge]) {
        tell(Progress::Litmus(strategy));
        let outcome = litmus(device, strategy, &effort.litmus)?;
        if outcome.rounds.passed() {
            return Ok((strategy, outcome.rounds));
        }
    }
    tell(Progress::Litmus(Strategy::Blocking));
    let outcome = litmus(device, Strategy::Blocking, &effort.litmus)?;
    Ok((Strategy::Blocking, outcome.rounds))
}

/// What an engine of MPS adds to products that take no time themselves.
fn overhead_micros(device: &MetalDevice, caps: &Caps, effort: &Effort) -> Result<f64, Error> {
    let bucket = Bucket {
        dtype: DataType::Float32,
        storage: Storage::Nn,
        log2: SMALL,
    };
    let product = Measured::new(device, bucket)?;
    let engines = [Engine::Steel, mps_engine(caps)];
    let [steel, mps] = product.in_turns(engines, SMALL_PRODUCTS, effort.repeats)?;
    Ok(rounded((median(mps) - median(steel)).max(0.0)))
}

/// The engine of MPS that policy asks for, but for products that add to their result.
fn mps_engine(caps: &Caps) -> Engine {
    if caps.ndarray {
        Engine::NdArray
    } else {
        Engine::Matrix
    }
}

fn cells(
    device: &MetalDevice,
    caps: &Caps,
    effort: &Effort,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Cell>, Error> {
    let began = Instant::now();
    let wanted = wanted(caps, &effort.sizes);
    let mut cells = vec![];
    for (done, (engine, bucket)) in wanted.iter().enumerate() {
        if began.elapsed() > effort.budget {
            break;
        }
        let of = wanted.len();
        tell(Progress::Product { done, of });
        cells.extend(cell(device, *engine, *bucket, effort)?);
    }
    Ok(cells)
}

/// The products to measure, those of one size together.
fn wanted(caps: &Caps, sizes: &[[u32; 3]]) -> Vec<(Engine, Bucket)> {
    use {DataType as T, Storage as S};
    let engine = mps_engine(caps);
    let mut kinds = vec![
        (engine, T::Float32, S::Nn),
        (engine, T::Float32, S::Nt),
        (engine, T::Float32, S::Tn),
        (engine, T::Float16, S::Nn),
        (engine, T::Float16, S::Nt),
    ];
    if caps.ndarray {
        // A product that adds to its result.
        kinds.extend([T::Float32, T::Float16].map(|dtype| (Engine::Matrix, dtype, S::Nn)));
    }
    if caps.ndarray && caps.bf16 {
        kinds.extend([S::Nn, S::Nt].map(|storage| (engine, T::BFloat16, storage)));
    }
    let of_size = |&log2: &[u32; 3]| {
        let kinds = kinds.clone().into_iter();
        kinds.map(move |(engine, dtype, storage)| {
            let bucket = Bucket {
                dtype,
                storage,
                log2,
            };
            (engine, bucket)
        })
    };
    sizes.iter().flat_map(of_size).collect()
}

/// One measurement; none of a product that is too short, too long, or wrong.
fn cell(
    device: &MetalDevice,
    engine: Engine,
    bucket: Bucket,
    effort: &Effort,
) -> Result<Option<Cell>, Error> {
    let product = Measured::new(device, bucket)?;
    // The first run compiles.
    product.secs(Engine::Steel, 1)?;
    let once = product.secs(Engine::Steel, 1)?;
    let [shortest, longest] = effort.durations.map(|duration| duration.as_secs_f64());
    if !(shortest..=longest).contains(&once) || !product.is_right(engine)? {
        return Ok(None);
    }
    let runs = (SAMPLE.as_secs_f64() / once).ceil() as u32;
    let runs = runs.clamp(1, MAX_RUNS);
    let [steel, mps] = product.in_turns([Engine::Steel, engine], runs, effort.repeats)?;
    let saved: Vec<f64> = steel.iter().zip(&mps).map(|(a, b)| a - b).collect();
    let micros = [median(steel), median(mps), deviation(&saved)].map(rounded);
    Ok(Some(Cell {
        engine,
        bucket,
        micros,
    }))
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
    use crate::order::Key;
    use crate::policy::MAX_FILE_BYTES;

    #[test]
    fn all_measurements_fit_into_the_file() {
        let caps = Caps::interpreter();
        let wanted = wanted(&caps, &Effort::default().sizes);
        let cell = |(engine, bucket)| Cell {
            engine,
            bucket,
            micros: [49_999.9, 49_999.9, 1234.5],
        };
        let long = "Version 26.10.1 (Build 25A12345a)";
        let calibration = Calibration {
            key: Key::new("applegpu_g17s", "Apple M5 Max", long, Strategy::FenceBridge),
            litmus: NOT_RUN,
            overhead_micros: 1234.5,
            cells: wanted.into_iter().map(cell).collect(),
        };
        let text = serde_json::to_string(&calibration).unwrap();
        assert!(text.len() < MAX_FILE_BYTES, "{}", text.len());
        assert!(calibration.cells.len() <= 40);
    }

    #[test]
    fn deviations_are_around_the_median() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(deviation(&[1.0, 2.0, 9.0]), 1.0);
        assert_eq!(median(vec![]), 0.0);
    }
}
