//! Measures which products MPS is faster at on this machine, and whether it is at softmax.
//!
//! A run takes under a minute, and says nothing of work that something else does at the same time.

mod contest;
mod product;
mod softmax;

use std::fmt;
use std::time::{Duration, Instant};

use candle_core::{DType, MetalDevice, Tensor};

use super::use_calibration;
use crate::apple::{self, Error, litmus};
use crate::order::{LitmusRounds, Strategy};
use crate::plan::Engine;
use crate::policy::{Calibration, Caps, Cell, ProductShape, RowsCell, Storage};
use contest::{measure, overhead};
use product::Product;
use softmax::Softmax;

/// Softmax over the last dimension by our own kernel, which is not in this crate.
pub type OwnSoftmax<'a> = &'a dyn Fn(&Tensor) -> candle_core::Result<Tensor>;
/// Product `(M, K)` by `(K, N)` of factors of two element types by our own kernel, which casts neither.
pub type OwnProduct<'a> = &'a dyn Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;

/// Kernels that MPS is compared with and that are not in this crate.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// Softmax.
    pub softmax: OwnSoftmax<'a>,
    /// Product of factors of two element types.
    pub product: OwnProduct<'a>,
}

/// Effort of a measurement: how long and how hard.
#[derive(Debug, Clone)]
pub struct Effort {
    /// Ways of ordering, of which the first that passes its litmus test is measured; that of least cost comes first.
    pub strategies: Vec<Strategy>,
    /// Effort of the litmus test.
    pub litmus: apple::Effort,
    /// Products of a model's layers, which are measured first; the most useful first.
    pub products: Vec<ProductShape>,
    /// Binary logarithms of M, N and K of others, in every element type; the most useful first.
    pub sizes: Vec<[u32; 3]>,
    /// Binary logarithms of the number of rows of a softmax, and of their length.
    pub softmax_sizes: Vec<[u32; 2]>,
    /// Times of each engine, in turns.
    pub repeats: usize,
    /// Work that takes less or more than these without MPS is not measured: MPS does not pay for
    /// shorter work, and longer work is measured by its smaller neighbours.
    pub durations: [Duration; 2],
    /// No product is begun after this much time for all of them, and no softmax.
    pub budget: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        let same_buffer = cfg!(metal_candle_same_buffer).then_some(Strategy::SameBuffer);
        let others = [Strategy::FenceBridge, Strategy::Blocking];
        Self {
            strategies: same_buffer.into_iter().chain(others).collect(),
            litmus: apple::Effort::default(),
            products: vec![],
            sizes: vec![[11, 11, 11], [10, 10, 10], [9, 11, 11], [12, 12, 12]],
            softmax_sizes: vec![[11, 11], [12, 12], [9, 17]],
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
    /// The product or softmax after `done` of `of`.
    Work {
        /// `product` or `softmax`.
        what: &'static str,
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
            Self::Work { what, done, of } => write!(f, "{what} {} of {of}", done + 1),
        }
    }
}

/// Products between two waits while the cost of ordering them is measured.
const SMALL_PRODUCTS: u32 = 64;
/// Binary logarithms of their sizes.
const SMALL: [u32; 3] = [4; 3];

/// Tests the strategies, and measures what the best one costs, each product that it is worth asking
/// for, and softmax, beside `own` where candle has no kernel. From then on `device`'s GPU is used by these measurements.
///
/// Work is among the measurements only if the numbers of MPS were those without it up to the rounding
/// of float32 sums, and the same to the bit twice. Where no strategy passes, or MPS
/// does not support the GPU, the measurements say so and name no product.
///
/// # Errors
///
/// What candle, or the GPU, reports.
pub fn calibrate(
    device: &MetalDevice,
    effort: &Effort,
    own: Own<'_>,
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
        softmax: vec![],
    };
    // What follows is ordered as was just tested.
    use_calibration(device, calibration.clone())?;
    if litmus.passed() {
        tell(Progress::Overhead(strategy));
        calibration.overhead_micros = overhead_micros(device, &caps, effort, own)?;
        calibration.cells = products(device, &caps, effort, own, tell)?;
        calibration.softmax = softmaxes(device, effort, own.softmax, tell)?;
        use_calibration(device, calibration.clone())?;
    }
    Ok(calibration)
}

const NOT_RUN: LitmusRounds = LitmusRounds::new(0, 0);

/// The first that passes; else the last.
fn best_strategy(
    device: &MetalDevice,
    effort: &Effort,
    tell: &mut dyn FnMut(Progress),
) -> Result<(Strategy, LitmusRounds), Error> {
    let mut best = (Strategy::Blocking, NOT_RUN);
    for &strategy in &effort.strategies {
        tell(Progress::Litmus(strategy));
        best = (strategy, litmus(device, strategy, &effort.litmus)?.rounds);
        if best.1.passed() {
            break;
        }
    }
    Ok(best)
}

/// What an engine of MPS adds to products that take no time themselves.
fn overhead_micros(
    device: &MetalDevice,
    caps: &Caps,
    effort: &Effort,
    own: Own<'_>,
) -> Result<f64, Error> {
    let small = of_one_type(DType::F32, Storage::Nn, SMALL);
    let product = Product::new(device, caps.mps_engine(), small, own.product)?;
    overhead(device, &product, SMALL_PRODUCTS, effort.repeats)
}

fn products(
    device: &MetalDevice,
    caps: &Caps,
    effort: &Effort,
    own: Own<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<Cell>, Error> {
    let wanted = wanted(caps, effort);
    within(effort, "product", tell, wanted, |wanted| {
        let (engine, shape) = (wanted.engine, wanted.shape);
        let Some(bucket) = shape.bucket() else {
            return Ok(None);
        };
        let product = Product::new(device, engine, shape, own.product)?;
        let micros = measure(device, &product, effort)?;
        Ok(micros.map(|micros| Cell {
            engine,
            bucket,
            sizes: wanted.is_of_model.then_some(shape.sizes),
            micros,
        }))
    })
}

fn softmaxes(
    device: &MetalDevice,
    effort: &Effort,
    own: OwnSoftmax<'_>,
    tell: &mut dyn FnMut(Progress),
) -> Result<Vec<RowsCell>, Error> {
    let of_size = |&log2: &[u32; 2]| [DType::F32, DType::F16].map(|dtype| (dtype, log2));
    let wanted: Vec<_> = effort.softmax_sizes.iter().flat_map(of_size).collect();
    within(effort, "softmax", tell, wanted, |(dtype, log2)| {
        let micros = measure(device, &Softmax::new(device, dtype, log2, own)?, effort)?;
        Ok(micros.map(|micros| RowsCell {
            dtype,
            log2,
            micros,
        }))
    })
}

/// The measurements of what is begun within the budget.
fn within<W, C>(
    effort: &Effort,
    what: &'static str,
    tell: &mut dyn FnMut(Progress),
    wanted: Vec<W>,
    measure: impl Fn(W) -> Result<Option<C>, Error>,
) -> Result<Vec<C>, Error> {
    let (began, of) = (Instant::now(), wanted.len());
    let mut cells = vec![];
    for (done, work) in wanted.into_iter().enumerate() {
        if began.elapsed() > effort.budget {
            break;
        }
        tell(Progress::Work { what, done, of });
        cells.extend(measure(work)?);
    }
    Ok(cells)
}

/// Product to be measured.
struct Wanted {
    engine: Engine,
    shape: ProductShape,
    is_of_model: bool,
}

/// The products to measure: those of a model that MPS takes, then squares and their like, those of one size together.
fn wanted(caps: &Caps, effort: &Effort) -> Vec<Wanted> {
    let of_model = effort.products.iter();
    let of_model = of_model.filter(|shape| shape.can_be_mps(caps));
    let of_model = of_model.map(|&shape| (caps.mps_engine(), shape, true));
    let kinds = kinds(caps);
    let of_size = effort.sizes.iter().flat_map(|&log2| {
        kinds.iter().map(move |&(engine, dtype, storage)| {
            (engine, of_one_type(dtype, storage, log2), false)
        })
    });
    let wanted = of_model.chain(of_size);
    let wanted = wanted.map(|(engine, shape, is_of_model)| Wanted {
        engine,
        shape,
        is_of_model,
    });
    wanted.collect()
}

/// Engines, element types and storages of products that no model asks for.
fn kinds(caps: &Caps) -> Vec<(Engine, DType, Storage)> {
    use {DType as T, Storage as S};
    let engine = caps.mps_engine();
    let mut kinds = vec![
        (engine, T::F32, S::Nn),
        (engine, T::F32, S::Nt),
        (engine, T::F32, S::Tn),
        (engine, T::F16, S::Nn),
        (engine, T::F16, S::Nt),
    ];
    if caps.ndarray {
        // A product that adds to its result.
        kinds.extend([T::F32, T::F16].map(|dtype| (Engine::Matrix, dtype, S::Nn)));
    }
    if caps.ndarray && caps.bf16 {
        kinds.extend([S::Nn, S::Nt].map(|storage| (engine, T::BF16, storage)));
    }
    kinds
}

/// A product of factors of one element type whose sizes have these binary logarithms.
fn of_one_type(dtype: DType, storage: Storage, log2: [u32; 3]) -> ProductShape {
    ProductShape {
        dtype,
        weight: dtype,
        storage,
        sizes: log2.map(|log2| 1 << log2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Key;
    use crate::policy::{Layer, MAX_FILE_BYTES, Micros, Tokens};

    #[test]
    fn all_measurements_fit_into_the_file() {
        let caps = Caps::interpreter();
        let effort = Effort {
            products: model(),
            ..Effort::default()
        };
        let wanted = wanted(&caps, &effort);
        let cell = |wanted: Wanted| Cell {
            engine: wanted.engine,
            bucket: wanted.shape.bucket().unwrap(),
            sizes: wanted.is_of_model.then_some(wanted.shape.sizes),
            micros: Micros([49_999.9, 49_999.9, 1234.5]),
        };
        let softmax = RowsCell {
            dtype: DType::F32,
            log2: [12, 12],
            micros: Micros([49_999.9, 49_999.9, 1234.5]),
        };
        let long = "Version 26.10.1 (Build 25A12345a)";
        let calibration = Calibration {
            key: Key::new("applegpu_g17s", "Apple M5 Max", long, Strategy::FenceBridge),
            litmus: NOT_RUN,
            overhead_micros: 1234.5,
            cells: wanted.into_iter().map(cell).collect(),
            softmax: vec![softmax; 2 * Effort::default().softmax_sizes.len()],
        };
        let text = serde_json::to_string(&calibration).unwrap();
        assert!(text.len() < MAX_FILE_BYTES, "{}", text.len());
        // As many of a model whose layers are all different, and the others.
        assert_eq!(calibration.cells.len(), 4 * 30 + 36);
    }

    /// Products of as many layers as no published model has, all of different sizes and of two element types.
    fn model() -> Vec<ProductShape> {
        let layers: Vec<Layer> = (0..30)
            .map(|i| Layer {
                outputs: 10_000 + i,
                inputs: 20_000 + i,
                weight: DType::BF16,
            })
            .collect();
        let tokens = Tokens {
            decoded: 1,
            prompt: 1000,
            trained: 10_000,
        };
        crate::policy::products(&layers, DType::F32, tokens)
    }
}
