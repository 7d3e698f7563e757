//! The operands of a plan, and their bindings for kernels that take buffers.

use std::fmt;

/// Operand of a plan, and so which buffer holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Left factor of a product.
    Left,
    /// Right factor of a product.
    Right,
    /// The one input of a softmax.
    Source,
    /// What is added to a product, where it is not the old result.
    Addend,
    /// A buffer that holds [`ZERO_BYTES`] bytes of zeros, or more, and is never written: the addend
    /// of a kernel that knows alpha only together with one.
    Zero,
    /// What is written; also read if beta is not 0.
    Result,
}

/// Fewest bytes in the buffer of [`Slot::Zero`]: one element of any type.
pub const ZERO_BYTES: usize = 8;

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Source => "source",
            Self::Addend => "addend",
            Self::Zero => "zero",
            Self::Result => "result",
        })
    }
}

/// Access of a kernel to a buffer; candle's encoder wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Bound as an input.
    Read,
    /// Bound as an output.
    Write,
}

/// One buffer of a dispatch.
///
/// The same slot may be bound twice, read and written: the old result as an addend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Index in the kernel's buffer argument table.
    pub index: usize,
    /// The operand whose buffer it is.
    pub slot: Slot,
    /// Bytes from the start of the buffer.
    pub offset_bytes: usize,
    /// What the kernel does with it.
    pub access: Access,
}
