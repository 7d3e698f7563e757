//! Policy of which engine computes a product.
//!
//! Without measurements of this machine it is never one of MPS: candle's GEMM runs in candle's own
//! encoder and is about as fast, and MPS costs a change of encoder or a wait. With them it is one
//! where a measurement of just such products says that it wins by more than it costs.

mod calibration;
mod caps;
mod cell;
mod reason;

pub use calibration::{Calibration, CalibrationError, MAX_FILE_BYTES};
pub use caps::Caps;
pub use cell::{Bucket, Cell, Storage};
pub use reason::Reason;

use std::sync::Arc;

use crate::order::Strategy;
use crate::plan::{
    DataType, Engine, Gemm, GemvPlan, MatrixMultiplication, NdArrayMatrixMultiplication, Plan,
    Reject, SteelPlan,
};

/// Fewest rows and columns of a product for MPS.
pub const MIN_MPS_SIZE: usize = 16;
/// Shortest product, in seconds of candle's GEMM, for MPS.
pub const MIN_MPS_SECS: f64 = 1e-3;
/// Least time of a product where MPS reaches matrix units that candle's kernels do not, in candle's own buffer.
pub const MIN_MPS_SECS_WITH_UNITS: f64 = 0.3e-3;
/// The least part of candle's time that MPS must save, and how many times the deviation and the
/// overhead.
const MIN_GAIN: f64 = 0.05;
const SURE: f64 = 2.0;

/// Facts about a device by which an engine is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The device; shared, as every product has a policy.
    pub caps: Arc<Caps>,
    /// How MPS work is ordered with candle's there, if it may be used at all.
    pub strategy: Option<Strategy>,
    /// What was measured there.
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

impl Policy {
    /// For a device without measurements.
    pub fn uncalibrated(caps: impl Into<Arc<Caps>>) -> Self {
        Self {
            caps: caps.into(),
            strategy: None,
            calibration: None,
        }
    }

    /// The engine for `gemm`, if its layout suits it.
    pub fn choose(&self, gemm: &Gemm<'_>) -> Choice {
        let [m, n] = gemm.result.last_two()[0];
        if m == 1 || n == 1 {
            return Choice {
                engine: Engine::Gemv,
                reason: Reason::Vector,
            };
        }
        match self.mps(gemm) {
            Ok((engine, gain)) => Choice {
                engine,
                reason: Reason::Faster { gain },
            },
            Err(reason) => Choice {
                engine: Engine::Steel,
                reason,
            },
        }
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
            self.check_available(engine)?;
            let reason = Reason::Requested;
            return Ok((self.plan_for(engine, gemm)?, Choice { engine, reason }));
        }
        let choice = self.choose(gemm);
        match self.plan_for(choice.engine, gemm) {
            Ok(plan) => Ok((plan, choice)),
            Err(reject) if choice.engine == Engine::Steel => Err(reject),
            Err(reject) => {
                let plan = self.plan_for(Engine::Steel, gemm)?;
                let reason = Reason::Rejected {
                    engine: choice.engine,
                    reject,
                };
                Ok((
                    plan,
                    Choice {
                        engine: Engine::Steel,
                        reason,
                    },
                ))
            }
        }
    }

    fn plan_for(&self, engine: Engine, gemm: &Gemm<'_>) -> Result<Plan, Reject> {
        match engine {
            Engine::Steel => SteelPlan::plan(gemm, self.caps.gpu_size()).map(Plan::Steel),
            Engine::Gemv => GemvPlan::plan(gemm).map(Plan::Gemv),
            Engine::NdArray => {
                NdArrayMatrixMultiplication::plan(&gemm.product()?).map(Plan::NdArray)
            }
            Engine::Matrix => MatrixMultiplication::plan(&gemm.product()?).map(Plan::Matrix),
        }
    }

    fn check_available(&self, engine: Engine) -> Result<(), Reject> {
        let available = match engine {
            Engine::Steel | Engine::Gemv => true,
            Engine::NdArray => self.caps.mps && self.caps.ndarray,
            Engine::Matrix => self.caps.mps,
        };
        if available {
            Ok(())
        } else {
            Err(Reject::Unavailable { engine })
        }
    }

    /// The engine of MPS for `gemm` and the part of the time that it saves, or why there is none.
    fn mps(&self, gemm: &Gemm<'_>) -> Result<(Engine, f64), Reason> {
        let (strategy, calibration) = self.calibrated()?;
        let engine = self.mps_engine(gemm)?;
        let [m, n] = gemm.result.last_two()[0];
        if m.min(n) < MIN_MPS_SIZE {
            return Err(Reason::FewRowsOrColumns);
        }
        let bucket = Bucket::of(gemm);
        let cell = bucket.and_then(|bucket| calibration.cell(engine, &bucket));
        let cell = cell.ok_or(Reason::NotMeasured)?;
        let secs = cell.steel_secs(products(gemm));
        if secs < self.min_secs(gemm.left.dtype(), strategy) {
            return Err(Reason::Short { secs });
        }
        check_gain(cell, secs, calibration.overhead_micros * 1e-6)?;
        Ok((engine, cell.gain()))
    }

    fn calibrated(&self) -> Result<(Strategy, &Calibration), Reason> {
        if !self.caps.mps {
            return Err(Reason::NoMps);
        }
        let calibration = self.calibration.as_deref().ok_or(Reason::Uncalibrated)?;
        let strategy = self.strategy.ok_or(Reason::NoStrategy)?;
        let proven = calibration.litmus.passed() && calibration.key.strategy == strategy;
        if proven {
            Ok((strategy, calibration))
        } else {
            Err(Reason::Litmus { strategy })
        }
    }

    fn mps_engine(&self, gemm: &Gemm<'_>) -> Result<Engine, Reason> {
        let bf16 = gemm.left.dtype() == DataType::BFloat16;
        match () {
            () if bf16 && (!self.caps.bf16 || self.caps.emulates_bf16()) => Err(Reason::SlowBf16),
            () if self.caps.ndarray && gemm.beta == 0.0 => Ok(Engine::NdArray),
            () if bf16 => Err(Reason::SlowBf16),
            () => Ok(Engine::Matrix),
        }
    }

    fn min_secs(&self, dtype: DataType, strategy: Strategy) -> f64 {
        let units = self.caps.has_matrix_units() && dtype.is_half();
        if units && strategy == Strategy::SameBuffer {
            MIN_MPS_SECS_WITH_UNITS
        } else {
            MIN_MPS_SECS
        }
    }
}

fn check_gain(cell: &Cell, secs: f64, overhead_secs: f64) -> Result<(), Reason> {
    let gain = cell.gain();
    if gain <= MIN_GAIN.max(SURE * cell.noise()) {
        Err(Reason::NoGain { gain })
    } else if gain * secs <= SURE * overhead_secs {
        Err(Reason::Overhead {
            gained_secs: gain * secs,
            overhead_secs,
        })
    } else {
        Ok(())
    }
}

/// Multiplications of a product.
fn products(gemm: &Gemm<'_>) -> f64 {
    let results = gemm
        .result
        .dims()
        .iter()
        .map(|&len| len as f64)
        .product::<f64>();
    results * gemm.left.last_two()[0][1] as f64
}
