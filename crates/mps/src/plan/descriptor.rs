//! The operands, and the arguments of an `MPSMatrix`.

use std::fmt;

use super::DataType;

/// Operand that a matrix belongs to, and so which buffer holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Left factor of a product.
    Left,
    /// Right factor of a product.
    Right,
    /// The one input of a row operation.
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

/// The arguments of
/// `matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:`.
///
/// `row_bytes` is a multiple of the element size and holds at least `columns` elements;
/// `matrix_bytes` is a multiple of `row_bytes` and holds at least `rows` rows (`MPSMatrix.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatrixDescriptor {
    /// Rows of one matrix, as stored.
    pub rows: usize,
    /// Columns of one matrix, as stored.
    pub columns: usize,
    /// Number of matrices.
    pub matrices: usize,
    /// Bytes from row to row.
    pub row_bytes: usize,
    /// Bytes from matrix to matrix.
    pub matrix_bytes: usize,
    /// Element type.
    pub dtype: DataType,
}

impl MatrixDescriptor {
    /// Bytes that a buffer must hold from the matrix's offset on (`initWithBuffer:descriptor:`).
    ///
    /// `usize::MAX` if that is not a `usize`, which no plan made here comes near.
    pub const fn required_bytes(&self) -> usize {
        let last_matrix = self
            .matrices
            .saturating_sub(1)
            .saturating_mul(self.matrix_bytes);
        let last_row = self.rows.saturating_sub(1).saturating_mul(self.row_bytes);
        let row = self.columns.saturating_mul(self.dtype.size_in_bytes());
        last_matrix.saturating_add(last_row).saturating_add(row)
    }
}

/// The arguments of `initWithBuffer:offset:descriptor:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// The operand whose buffer it is in.
    pub slot: Slot,
    /// Bytes from the start of the buffer to the first element.
    pub offset_bytes: usize,
    /// Shape and strides.
    pub descriptor: MatrixDescriptor,
}

/// Place in a stored matrix where the work starts: an `MTLOrigin` with `x` the row, `y` the column and
/// `z` 0 (`MPSMatrixSoftMax.h` names the axes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// First row.
    pub row: usize,
    /// First column.
    pub column: usize,
}
