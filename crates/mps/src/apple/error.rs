//! Errors of this module.

use candle_metal_kernels::MetalKernelError;
use thiserror::Error;

use crate::order::{Refusal, Step};
use crate::plan::{Engine, Reject, Slot};

/// An error of the Apple side.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// candle's kernels failed.
    #[error(transparent)]
    Kernel(#[from] MetalKernelError),
    /// A strategy that may not be used here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No plan for a size that a test was asked for.
    #[error(transparent)]
    Reject(#[from] Reject),
    /// An operand of the plan without a buffer.
    #[error("no buffer for the {slot} operand")]
    Missing {
        /// The operand.
        slot: Slot,
    },
    /// A buffer that the plan reaches past; MPS would abort.
    #[error("{slot}: the plan needs {needed} B, the buffer has {len} B")]
    Short {
        /// The operand.
        slot: Slot,
        /// Bytes up to the last that the plan touches.
        needed: usize,
        /// Bytes of the buffer.
        len: usize,
    },
    /// An engine that this GPU or system does not have.
    #[error("{engine} is not supported by this GPU and system")]
    Unsupported {
        /// The engine.
        engine: Engine,
    },
    /// Metal did not make an object.
    #[error("Metal did not make a {what}")]
    Resource {
        /// What was asked for.
        what: &'static str,
    },
    /// An earlier command buffer of ours failed on the GPU.
    #[error("a command buffer failed: {message}")]
    Gpu {
        /// What Metal says.
        message: String,
    },
    /// A step of a script at a place where it makes no sense: a script that `order::script` did
    /// not make.
    #[error("{step:?} cannot be done here")]
    Script {
        /// The step.
        step: Step,
    },
}
