//! Faults of a plan, or with the buffers it is given.

use candle_core::DType;
use thiserror::Error;

use crate::plan::Slot;

/// A plan that MPS would abort on, that no kernel takes, or that leaves its buffers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// No buffer was inserted for an operand.
    #[error("no buffer for {slot}")]
    NoBuffer {
        /// The operand.
        slot: Slot,
    },
    /// A matrix or an element that is not wholly inside its buffer.
    #[error("{slot}: bytes {start_bytes}..{end_bytes} are outside a buffer of {len_bytes} B")]
    OutOfBuffer {
        /// The operand.
        slot: Slot,
        /// First byte.
        start_bytes: usize,
        /// One past the last byte.
        end_bytes: usize,
        /// Length of the buffer.
        len_bytes: usize,
    },
    /// A descriptor that breaks a rule of `MPSMatrix.h`.
    #[error("{slot}: {rule}: {bytes} B")]
    Descriptor {
        /// The operand.
        slot: Slot,
        /// The rule.
        rule: &'static str,
        /// The value that breaks it.
        bytes: usize,
    },
    /// A matrix too small for what the kernel takes from it, counted from its origin.
    #[error("{slot}: {needed} {axis} from its origin, {available} in the matrix")]
    TooSmall {
        /// The operand.
        slot: Slot,
        /// `rows`, `columns` or `matrices`.
        axis: &'static str,
        /// Origin and extent together.
        needed: usize,
        /// What the matrix has.
        available: usize,
    },
    /// Arrays whose sizes do not go together.
    #[error("{slot}: {got:?} rows and columns, expected {expected:?}")]
    Shape {
        /// The operand.
        slot: Slot,
        /// Rows and columns that would fit.
        expected: [usize; 2],
        /// Rows and columns it has.
        got: [usize; 2],
    },
    /// A result that is not a float.
    #[error("result of type {dtype:?}")]
    ResultType {
        /// Its type.
        dtype: DType,
    },
    /// A kernel's name that is not one of candle's.
    #[error("no kernel is called {name}")]
    Kernel {
        /// The name.
        name: String,
    },
    /// Nothing where a kernel expects a buffer or bytes.
    #[error("nothing is bound at index {index}")]
    Unbound {
        /// Index in the argument table.
        index: usize,
    },
    /// Threadgroups of another size than the kernel counts on.
    #[error("threadgroups of {got:?} threads, expected {expected:?}")]
    Group {
        /// What the kernel's name says.
        expected: [usize; 3],
        /// What the plan says.
        got: [usize; 3],
    },
    /// A value that takes a kernel out of its arguments: a negative size, a tile without rows.
    #[error("{name} is {value}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// Its value.
        value: i64,
    },
}
