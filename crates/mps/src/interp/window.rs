//! Matrices of an `MPSMatrix`, addressed by row and column.

use super::{Fault, Host, Place};
use crate::plan::{Matrix, MatrixDescriptor, Origin};

/// One matrix of an array, seen from an origin; `transposed` swaps rows and columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub matrix: Matrix,
    pub origin: Origin,
    pub index: usize,
    pub transposed: bool,
}

impl Window {
    /// Where `(row, column)` is.
    pub fn at(&self, row: usize, column: usize) -> Place {
        let [row, column] = self.stored(row, column);
        let Matrix {
            slot,
            offset_bytes,
            descriptor,
        } = self.matrix;
        let start_bytes = offset_bytes
            + self.index * descriptor.matrix_bytes
            + (self.origin.row + row) * descriptor.row_bytes
            + (self.origin.column + column) * descriptor.dtype.size_in_bytes();
        Place {
            slot,
            dtype: descriptor.dtype,
            start_bytes,
        }
    }

    fn stored(&self, row: usize, column: usize) -> [usize; 2] {
        if self.transposed {
            [column, row]
        } else {
            [row, column]
        }
    }

    /// What MPS asserts: the matrix has `rows` and `columns` from its origin on.
    pub fn check(&self, rows: usize, columns: usize) -> Result<(), Fault> {
        let [rows, columns] = self.stored(rows, columns);
        let (slot, descriptor) = (self.matrix.slot, self.matrix.descriptor);
        let covers = |axis, needed, available| match needed <= available {
            true => Ok(()),
            false => Err(Fault::TooSmall {
                slot,
                axis,
                needed,
                available,
            }),
        };
        covers(
            "rows",
            self.origin.row.saturating_add(rows),
            descriptor.rows,
        )?;
        covers(
            "columns",
            self.origin.column.saturating_add(columns),
            descriptor.columns,
        )?;
        covers(
            "matrices",
            self.index.saturating_add(1),
            descriptor.matrices,
        )
    }
}

impl Host {
    /// The rules of `MPSMatrix.h`, and that the buffer holds all of the matrices.
    pub(super) fn check_matrix(&self, matrix: &Matrix) -> Result<(), Fault> {
        let Matrix {
            slot,
            offset_bytes,
            descriptor,
        } = *matrix;
        let MatrixDescriptor {
            row_bytes,
            matrix_bytes,
            ..
        } = descriptor;
        let size_in_bytes = descriptor.dtype.size_in_bytes();
        let least_row = descriptor.columns.saturating_mul(size_in_bytes);
        let least_matrix = descriptor.rows.saturating_mul(row_bytes);
        let rule = |kept, rule, bytes| match kept {
            true => Ok(()),
            false => Err(Fault::Descriptor { slot, rule, bytes }),
        };
        let whole = |bytes: usize, unit| bytes.is_multiple_of(unit);
        rule(
            whole(offset_bytes, size_in_bytes),
            "offset splits an element",
            offset_bytes,
        )?;
        rule(
            whole(row_bytes, size_in_bytes),
            "row stride splits an element",
            row_bytes,
        )?;
        rule(
            row_bytes >= least_row,
            "row stride is shorter than a row",
            row_bytes,
        )?;
        rule(
            whole(matrix_bytes, row_bytes),
            "matrix stride splits a row",
            matrix_bytes,
        )?;
        rule(
            matrix_bytes >= least_matrix,
            "matrix stride is shorter than a matrix",
            matrix_bytes,
        )?;
        self.check_range(matrix)
    }

    fn check_range(&self, matrix: &Matrix) -> Result<(), Fault> {
        let Matrix {
            slot,
            offset_bytes: start_bytes,
            descriptor,
        } = *matrix;
        let len_bytes = self.len(slot)?;
        let end_bytes = start_bytes.saturating_add(descriptor.required_bytes());
        let fault = Fault::OutOfBuffer {
            slot,
            start_bytes,
            end_bytes,
            len_bytes,
        };
        if end_bytes <= len_bytes {
            Ok(())
        } else {
            Err(fault)
        }
    }
}
