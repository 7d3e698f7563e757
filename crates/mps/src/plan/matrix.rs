//! Matrices as MPS takes them.

use candle_core::DType;

use super::axis::Axis;
use super::limits::{self, HALF_ALIGNMENT_BYTES};
use super::problem::strided;
use super::{Reject, Slot};

/// A matrix, or an array of them, in an operand's buffer: the arguments of
/// `matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:`, of
/// `initWithBuffer:offset:descriptor:`, and the origin that a kernel is told.
///
/// `row_bytes` is a multiple of the element size and holds at least `columns` elements;
/// `matrix_bytes` is a multiple of `row_bytes` and holds at least `rows` rows (`MPSMatrix.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Matrix {
    /// The operand whose buffer it is in.
    pub slot: Slot,
    /// Element type.
    pub dtype: DType,
    /// Bytes from the start of the buffer to the first element.
    pub offset_bytes: usize,
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
    /// The operand is the transpose of what is stored.
    pub transposed: bool,
    /// Stored columns in front that are not of the operand: the `y` of an `MTLOrigin`, whose `x` is a
    /// row (`MPSMatrixSoftMax.h` names the axes).
    pub origin: usize,
}

impl Matrix {
    /// Operand `slot`, with place `operand` in the axes' strides, either way round.
    ///
    /// A single row or column can be taken both ways; as it is comes before transposed.
    pub(super) fn of(
        dtype: DType,
        (slot, operand): (Slot, usize),
        [rows, columns]: [&Axis; 2],
    ) -> Result<Self, Reject> {
        let strides = [rows.strides[operand], columns.strides[operand]];
        let stored = |outer: &Axis, inner: &Axis, [outer_stride, inner_stride]: [usize; 2]| {
            (inner.len == 1 || inner_stride == 1)
                .then(|| Self::stored(slot, dtype, [outer.len, inner.len], outer_stride))
        };
        let turned = stored(columns, rows, [strides[1], strides[0]]);
        let turned = turned.map(|matrix| {
            matrix.map(|matrix| Self {
                transposed: true,
                ..matrix
            })
        });
        match (stored(rows, columns, strides), turned) {
            (Some(Ok(matrix)), _) | (_, Some(Ok(matrix))) => Ok(matrix),
            (Some(Err(reject)), _) | (None, Some(Err(reject))) => Err(reject),
            (None, None) => Err(strided(slot, strides)),
        }
    }

    /// `rows` runs of `columns` neighbours, `row_stride` elements apart, at the start of the buffer.
    ///
    /// A single row has no stride of its own; it carries its length, and any may replace it.
    pub(super) fn stored(
        slot: Slot,
        dtype: DType,
        [rows, columns]: [usize; 2],
        row_stride: usize,
    ) -> Result<Self, Reject> {
        let row_stride = if rows == 1 { columns } else { row_stride };
        let row_bytes = row_stride * dtype.size_in_bytes();
        if row_stride < columns {
            return Err(Reject::RowsOverlap {
                slot,
                row_stride,
                columns,
            });
        }
        if rows > 1 {
            check_aligned(slot, dtype, "row stride", row_bytes)?;
        }
        Ok(Self {
            slot,
            dtype,
            offset_bytes: 0,
            rows,
            columns,
            matrices: 1,
            row_bytes,
            matrix_bytes: rows * row_bytes,
            transposed: false,
            origin: 0,
        })
    }

    /// Bytes of so many elements.
    fn bytes(&self, elements: usize) -> usize {
        elements.saturating_mul(self.dtype.size_in_bytes())
    }

    /// Rejects rows with a gap between them.
    pub(super) fn check_packed(&self) -> Result<(), Reject> {
        let reject = Reject::NotPacked {
            slot: self.slot,
            row_bytes: self.row_bytes,
            columns: self.columns,
        };
        limits::allow(self.row_bytes == self.bytes(self.columns), reject)
    }

    /// `len` of these, `stride` elements apart, as one array of matrices.
    pub(super) fn stacked(&self, len: usize, stride: usize) -> Option<Self> {
        let matrix_bytes = self.bytes(stride);
        let row_bytes = if self.rows == 1 {
            matrix_bytes
        } else {
            self.row_bytes
        };
        let fits = row_bytes >= self.bytes(self.columns) && is_aligned(self.dtype, row_bytes);
        let regular =
            fits && matrix_bytes.is_multiple_of(row_bytes) && matrix_bytes >= self.rows * row_bytes;
        regular.then_some(Self {
            matrices: len,
            row_bytes,
            matrix_bytes,
            ..*self
        })
    }

    /// This matrix at `offset_bytes`.
    pub(super) fn at(self, offset_bytes: usize) -> Result<Self, Reject> {
        check_aligned(self.slot, self.dtype, "offset", offset_bytes)?;
        Ok(Self {
            offset_bytes,
            ..self
        })
    }

    /// This matrix at `offset_bytes`. One of 16-bit floats that is off its alignment is rounded down,
    /// and the columns that this adds in front are skipped by the origin: Apple documents origins to
    /// the element and says nothing about offsets. How an origin counts in a transposed matrix is not
    /// documented, so those are rejected.
    pub(super) fn at_origin(mut self, offset_bytes: usize) -> Result<Self, Reject> {
        let placed = self.at(offset_bytes);
        let excess_bytes = offset_bytes % HALF_ALIGNMENT_BYTES;
        let origin = excess_bytes / self.dtype.size_in_bytes();
        let columns = self.columns + origin;
        let widened_bytes = self.bytes(columns);
        if self.rows * self.matrices == 1 {
            (self.row_bytes, self.matrix_bytes) = (widened_bytes, widened_bytes);
        }
        if placed.is_ok() || self.transposed || widened_bytes > self.row_bytes {
            return placed;
        }
        Ok(Self {
            offset_bytes: offset_bytes - excess_bytes,
            columns,
            origin,
            ..self
        })
    }

    /// Bytes that a buffer must hold from the matrix's offset on (`initWithBuffer:descriptor:`).
    ///
    /// `usize::MAX` if that is not a `usize`, which no plan made here comes near.
    pub fn required_bytes(&self) -> usize {
        let last_matrix = self.matrices.saturating_sub(1);
        let last_matrix = last_matrix.saturating_mul(self.matrix_bytes);
        let last_row = self.rows.saturating_sub(1).saturating_mul(self.row_bytes);
        let row = self.bytes(self.columns);
        last_matrix.saturating_add(last_row).saturating_add(row)
    }

    pub(super) fn check_elements(&self) -> Result<(), Reject> {
        let elements = self.required_bytes() / self.dtype.size_in_bytes();
        limits::check_elements(self.slot, elements)
    }

    /// `dimensionSizes` of an `MPSNDArray`, as stored, the fastest dimension first.
    pub const fn dimension_sizes(&self) -> [usize; 2] {
        [self.columns, self.rows]
    }
}

fn is_aligned(dtype: DType, bytes: usize) -> bool {
    dtype.size_in_bytes() != 2 || bytes.is_multiple_of(HALF_ALIGNMENT_BYTES)
}

fn check_aligned(slot: Slot, dtype: DType, what: &'static str, bytes: usize) -> Result<(), Reject> {
    let multiple = HALF_ALIGNMENT_BYTES;
    let reject = Reject::Alignment {
        slot,
        what,
        bytes,
        multiple,
    };
    limits::allow(is_aligned(dtype, bytes), reject)
}
