//! Policy of which engine computes a product, and which kernel a softmax.
//!
//! Without measurements of this machine it is never one of MPS: candle's GEMM and our softmax run in
//! candle's own encoder and are about as fast, and MPS costs a change of encoder or a wait. With them
//! it is one where a measurement of just such work says that it wins by more than it costs.

mod calibration;
mod caps;
mod cell;
mod layers;
mod reason;

pub use calibration::{Calibration, CalibrationError, MAX_FILE_BYTES};
pub use caps::Caps;
pub use cell::{Bucket, Cell, Micros, RowsCell, Storage};
pub use layers::{Layer, ProductShape, Tokens, products};
pub use reason::Reason;

use std::sync::Arc;

use candle_core::DType;

use crate::order::Strategy;
use crate::plan::{
    Engine, Gemm, GemvPlan, MatrixMultiplication, NdArrayMultiplication, Plan, Reject, SteelPlan,
};
use cell::{logarithms, smallest};

/// Fewest rows and columns of a product for MPS.
pub const MIN_MPS_SIZE: usize = 16;
/// Shortest work, in seconds without MPS, for MPS.
pub const MIN_MPS_SECS: f64 = 1e-3;
/// Least time of a product where MPS reaches matrix units that candle's kernels do not, in candle's own buffer.
pub const MIN_MPS_SECS_WITH_UNITS: f64 = 0.3e-3;
/// Most bytes of a weight that is cast for one product, and given up after it.
pub const MAX_WIDENED_BYTES: usize = 256 << 20;
/// The least part of candle's time that MPS must save, and how many times the deviation and the
/// overhead.
const MIN_GAIN: f64 = 0.05;
const SURE: f64 = 2.0;

/// Facts about a device by which an engine is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The device; shared, as every product has a policy.
    pub caps: Arc<Caps>,
    /// What was measured there, with MPS work ordered by the strategy in its key.
    pub calibration: Option<Arc<Calibration>>,
}

/// An engine, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The engine.
    pub engine: Engine,
    /// Why this one.
    pub reason: Reason,
}

impl Choice {
    fn new(engine: Engine, reason: Reason) -> Self {
        Self { engine, reason }
    }
}

impl Policy {
    /// For a device without measurements.
    pub fn uncalibrated(caps: impl Into<Arc<Caps>>) -> Self {
        Self {
            caps: caps.into(),
            calibration: None,
        }
    }

    /// The engine for `gemm`, if its layout suits it.
    pub fn choose(&self, gemm: &Gemm<'_>) -> Choice {
        let [m, n, _] = gemm.sizes();
        if m == 1 || n == 1 {
            return Choice::new(Engine::Gemv, Reason::Vector);
        }
        match self.mps(gemm) {
            Ok((engine, gain)) => Choice::new(engine, Reason::Faster { gain }),
            Err(reason) => Choice::new(Engine::Steel, reason),
        }
    }

    /// The part of the time that MPS saves of a softmax of `rows` rows of `columns` numbers, which is
    /// its if this is `Ok`; else why it is our own kernel's.
    ///
    /// # Errors
    ///
    /// A [`Reason`].
    pub fn softmax(&self, dtype: DType, [rows, columns]: [usize; 2]) -> Result<f64, Reason> {
        let calibration = self.calibrated()?;
        let log2 = logarithms([rows, columns]).ok_or(Reason::NotMeasured)?;
        let cell = calibration.softmax_cell(dtype, log2);
        let micros = cell.ok_or(Reason::NotMeasured)?.micros;
        let scale = rows as f64 * columns as f64 / smallest(&log2);
        check_pays(micros, scale, MIN_MPS_SECS, calibration)
    }

    /// A plan for `gemm`: of `engine` or none, or else of the engine chosen, or of candle's GEMM
    /// where that does not take the layout.
    ///
    /// # Errors
    ///
    /// The [`Reject`] of the last engine tried. If it [names an operand](Reject::operand), a
    /// contiguous copy of that helps.
    pub fn plan(&self, gemm: &Gemm<'_>, engine: Option<Engine>) -> Result<(Plan, Choice), Reject> {
        if let Some(engine) = engine {
            if !self.caps.has(engine) {
                return Err(Reject::Unavailable { engine });
            }
            let choice = Choice::new(engine, Reason::Requested);
            return Ok((self.plan_for(engine, gemm)?, choice));
        }
        let choice = self.choose(gemm);
        match self.plan_for(choice.engine, gemm) {
            Ok(plan) => Ok((plan, choice)),
            Err(reject) if choice.engine == Engine::Steel => Err(reject),
            Err(reject) => {
                let plan = self.plan_for(Engine::Steel, gemm)?;
                let engine = choice.engine;
                let reason = Reason::Rejected { engine, reject };
                Ok((plan, Choice::new(Engine::Steel, reason)))
            }
        }
    }

    fn plan_for(&self, engine: Engine, gemm: &Gemm<'_>) -> Result<Plan, Reject> {
        match engine {
            Engine::Steel => SteelPlan::plan(gemm, self.caps.gpu_size()).map(Plan::Steel),
            Engine::Gemv => GemvPlan::plan(gemm).map(Plan::Gemv),
            Engine::NdArray => NdArrayMultiplication::plan(gemm).map(Plan::NdArray),
            Engine::Matrix => MatrixMultiplication::plan(gemm).map(Plan::Matrix),
        }
    }

    /// The engine of MPS for `gemm` and the part of the time that it saves, or why there is none.
    fn mps(&self, gemm: &Gemm<'_>) -> Result<(Engine, f64), Reason> {
        self.calibrated()?;
        let engine = self.mps_engine(gemm)?;
        let bucket = Bucket::of(gemm).ok_or(Reason::NotMeasured)?;
        let [m, n, k] = gemm.sizes();
        check_tiles([m, n])?;
        let batch: usize = gemm.result.dims().iter().rev().skip(2).product();
        Ok((engine, self.gain(engine, &bucket, [m * batch, n, k])?))
    }

    /// The part of the time that it saves to cast a right factor and have `engine` multiply, if that
    /// is worth it; else why our own kernel multiplies, which casts nothing.
    ///
    /// # Errors
    ///
    /// A [`Reason`].
    pub fn widened(&self, product: &ProductShape) -> Result<f64, Reason> {
        self.calibrated()?;
        let [m, n, k] = product.sizes;
        check_tiles([m, n])?;
        let bytes = n * k * product.dtype.size_in_bytes();
        if bytes > MAX_WIDENED_BYTES {
            return Err(Reason::Wide { bytes });
        }
        let bucket = product.bucket().ok_or(Reason::NotMeasured)?;
        self.gain(self.caps.mps_engine(), &bucket, [m, n, k])
    }

    /// The part of the time that `engine` saves of a product of these sizes, the batch counted into M.
    fn gain(&self, engine: Engine, bucket: &Bucket, sizes: [usize; 3]) -> Result<f64, Reason> {
        let calibration = self.calibrated()?;
        let cell = calibration.cell(engine, bucket, sizes);
        let cell = cell.ok_or(Reason::NotMeasured)?;
        let work: f64 = sizes.iter().map(|&size| size as f64).product();
        let least = self.min_secs(bucket.dtype, calibration.key.strategy);
        check_pays(cell.micros, work / cell.work(), least, calibration)
    }

    fn calibrated(&self) -> Result<&Calibration, Reason> {
        if !self.caps.mps {
            return Err(Reason::NoMps);
        }
        let calibration = self.calibration.as_deref().ok_or(Reason::Uncalibrated)?;
        let strategy = calibration.key.strategy;
        match calibration.litmus.passed() {
            true => Ok(calibration),
            false => Err(Reason::Litmus { strategy }),
        }
    }

    fn mps_engine(&self, gemm: &Gemm<'_>) -> Result<Engine, Reason> {
        let bf16 = gemm.left.dtype() == DType::BF16;
        match () {
            () if bf16 && (!self.caps.bf16 || self.caps.emulates_bf16()) => Err(Reason::SlowBf16),
            () if self.caps.ndarray && gemm.beta == 0.0 => Ok(Engine::NdArray),
            () if bf16 => Err(Reason::SlowBf16),
            () => Ok(Engine::Matrix),
        }
    }

    fn min_secs(&self, dtype: DType, strategy: Strategy) -> f64 {
        let units = self.caps.has_matrix_units() && dtype.size_in_bytes() == 2;
        if units && strategy == Strategy::SameBuffer {
            MIN_MPS_SECS_WITH_UNITS
        } else {
            MIN_MPS_SECS
        }
    }
}

fn check_tiles(sides: [usize; 2]) -> Result<(), Reason> {
    let has_tiles = sides.iter().all(|&side| side >= MIN_MPS_SIZE);
    has_tiles.then_some(()).ok_or(Reason::FewRowsOrColumns)
}

/// The part of the time that MPS saves of work that is `scale` times what was measured, if that is at
/// least so long without MPS, and more is saved than measurements vary and ordering costs.
fn check_pays(
    micros: Micros,
    scale: f64,
    least_secs: f64,
    calibration: &Calibration,
) -> Result<f64, Reason> {
    let (secs, gain) = (micros.secs() * scale, micros.gain());
    let (gained_secs, overhead_secs) = (gain * secs, calibration.overhead_micros * 1e-6);
    if secs < least_secs {
        Err(Reason::Short { secs })
    } else if gain <= MIN_GAIN.max(SURE * micros.noise()) {
        Err(Reason::NoGain { gain })
    } else if gained_secs <= SURE * overhead_secs {
        Err(Reason::Overhead {
            gained_secs,
            overhead_secs,
        })
    } else {
        Ok(gain)
    }
}
