//! Bindings of operands, for kernels that take buffers.

use super::Slot;

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
