//! Refusals of the operations.

use candle_core::{DType, DeviceLocation, Shape};
use thiserror::Error;

use crate::interp::Fault;
use crate::plan::{Reject, Slot};

/// Reason why an operation did not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// An operand with fewer dimensions than the operation needs.
    #[error("{operand}: shape {shape:?}, needs at least two dimensions")]
    Rank {
        /// The operand.
        operand: Slot,
        /// Its shape.
        shape: Shape,
    },
    /// Inner sizes that differ, or batch dimensions that do not broadcast.
    #[error("cannot multiply {left:?} by {right:?} (shapes after transposition)")]
    Dimensions {
        /// Shape of the left factor.
        left: Shape,
        /// Shape of the right factor.
        right: Shape,
    },
    /// An addend that does not broadcast to the result.
    #[error("cannot add {addend:?} to a result of shape {result:?}")]
    Addend {
        /// Shape of the addend.
        addend: Shape,
        /// Shape of the result.
        result: Shape,
    },
    /// An element type that is not taken, or not together with that of the first operand.
    #[error("{operand} is {got:?}, must be {expected}")]
    DType {
        /// The operand.
        operand: Slot,
        /// What would be taken.
        expected: String,
        /// What it is.
        got: DType,
    },
    /// Operands on different devices, or on one that is neither Apple's nor the CPU.
    #[error("{operand} is on {got:?}, must be on {expected}")]
    Device {
        /// The operand.
        operand: Slot,
        /// Where it would be taken.
        expected: String,
        /// Where it is.
        got: DeviceLocation,
    },
    /// What the engine does not take, or must not be asked for.
    #[error(transparent)]
    Limit(#[from] Reject),
    /// A plan that the interpreter refuses, which is a fault of this crate.
    #[error("invalid plan: {0}")]
    Plan(#[from] Fault),
    /// The Apple side refused or failed.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    #[error(transparent)]
    Apple(#[from] crate::apple::Error),
    /// candle refused or failed.
    #[error(transparent)]
    Candle(candle_core::Error),
}

/// Result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

impl From<candle_core::Error> for Error {
    /// An error of this crate that went through candle is itself again.
    fn from(error: candle_core::Error) -> Self {
        let candle_core::Error::WrappedContext { wrapped, context } = error else {
            return Self::Candle(error);
        };
        let as_it_was = |wrapped| candle_core::Error::WrappedContext { wrapped, context };
        match wrapped.downcast::<Self>() {
            Ok(own) => *own,
            Err(wrapped) => Self::Candle(as_it_was(wrapped)),
        }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        let context = error.to_string();
        match error {
            Error::Candle(error) => error,
            own => Self::WrappedContext {
                wrapped: Box::new(own),
                context,
            },
        }
    }
}
