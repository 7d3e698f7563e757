//! `MPSMatrixMultiplication`, `MPSNDArrayMatrixMultiplication` and `MPSMatrixSoftMax`.

use super::{Fault, Host, Place};
use crate::plan::{Matrix, MatrixMultiplication, MatrixSoftMax, NdArrayMultiplication};

impl Host {
    /// Runs every call of `plan`. The old result is read only if beta is not 0.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; calls before the faulty one have been carried out.
    pub fn multiply(&mut self, plan: &MatrixMultiplication) -> Result<(), Fault> {
        let kernel = plan.kernel;
        let sizes = [kernel.rows, kernel.columns, kernel.interior];
        let factors = [kernel.alpha, kernel.beta].map(|factor| factor.value());
        for call in &plan.calls {
            let [mut left, mut right, result] = *call;
            left.transposed = kernel.transpose_left;
            right.transposed = kernel.transpose_right;
            for index in 0..result.matrices {
                self.multiply_one([left, right, result], index, sizes, factors)?;
            }
        }
        Ok(())
    }

    /// Runs every call of `plan`. Sizes are those of the arrays, whose rows have no gaps.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; calls before the faulty one have been carried out.
    pub fn multiply_ndarray(&mut self, plan: &NdArrayMultiplication) -> Result<(), Fault> {
        for call in &plan.calls {
            for matrix in call {
                let (slot, bytes) = (matrix.slot, matrix.row_bytes);
                let rule = "rows of an array are packed";
                if bytes != matrix.columns.saturating_mul(matrix.dtype.size_in_bytes()) {
                    return Err(Fault::Descriptor { slot, rule, bytes });
                }
            }
            let [[rows, interior], [right_rows, columns], result] = call.map(|m| m.sizes());
            expect(&call[1], [interior, columns], [right_rows, columns])?;
            expect(&call[2], [rows, columns], result)?;
            self.multiply_one(*call, 0, [rows, columns, interior], [plan.alpha, 0.0])?;
        }
        Ok(())
    }

    /// One product of an array of matrices.
    fn multiply_one(
        &mut self,
        [left, right, result]: [Matrix; 3],
        index: usize,
        [rows, columns, interior]: [usize; 3],
        [alpha, beta]: [f64; 2],
    ) -> Result<(), Fault> {
        self.check(&left, index, [rows, interior])?;
        self.check(&right, index, [interior, columns])?;
        self.check(&result, index, [rows, columns])?;
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = 0.0;
                for k in 0..interior {
                    let left = self.read(left.element(index, [row, k]))?;
                    sum += left * self.read(right.element(index, [k, column]))?;
                }
                let at = result.element(index, [row, column]);
                let mut value = alpha * sum;
                if beta != 0.0 {
                    value += beta * self.read(at)?;
                }
                self.write(at, value)?;
            }
        }
        Ok(())
    }

    /// Runs `plan`.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; rows before the faulty one have been written.
    pub fn soft_max(&mut self, plan: &MatrixSoftMax) -> Result<(), Fault> {
        let MatrixSoftMax { source, result } = plan;
        self.check(source, 0, source.sizes())?;
        self.check(result, 0, source.sizes())?;
        for row in 0..source.rows {
            let values =
                (0..source.columns).map(|column| self.read(source.element(0, [row, column])));
            let mut values = values.collect::<Result<Vec<_>, _>>()?;
            // The largest is taken out first, so that no exponential overflows.
            let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            values
                .iter_mut()
                .for_each(|value| *value = (*value - max).exp());
            let sum: f64 = values.iter().sum();
            for (column, value) in values.into_iter().enumerate() {
                self.write(result.element(0, [row, column]), value / sum)?;
            }
        }
        Ok(())
    }

    /// The rules of `MPSMatrix.h`, that the buffer holds the matrix, and that it has these rows and
    /// columns from its origin on.
    fn check(&self, matrix: &Matrix, index: usize, sizes: [usize; 2]) -> Result<(), Fault> {
        let (slot, start_bytes) = (matrix.slot, matrix.offset_bytes);
        if let Some((rule, bytes)) = matrix.broken_rule() {
            return Err(Fault::Descriptor { slot, rule, bytes });
        }
        let len_bytes = self.bytes(slot).ok_or(Fault::NoBuffer { slot })?.len();
        let end_bytes = start_bytes.saturating_add(matrix.required_bytes());
        if end_bytes > len_bytes {
            return Err(Fault::OutOfBuffer {
                slot,
                start_bytes,
                end_bytes,
                len_bytes,
            });
        }
        let covers = |axis, needed, available| match needed <= available {
            true => Ok(()),
            false => Err(Fault::TooSmall {
                slot,
                axis,
                needed,
                available,
            }),
        };
        let [rows, columns] = matrix.turned(sizes);
        let columns = columns.saturating_add(matrix.origin);
        covers("rows", rows, matrix.rows)?;
        covers("columns", columns, matrix.columns)?;
        covers("matrices", index.saturating_add(1), matrix.matrices)
    }
}

impl Matrix {
    /// Rows and columns as the operand has them, of those that are stored, and the other way round.
    fn turned(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        match self.transposed {
            true => [columns, rows],
            false => [rows, columns],
        }
    }

    /// Rows and columns of the operand.
    fn sizes(&self) -> [usize; 2] {
        self.turned([self.rows, self.columns])
    }

    /// Place of `(row, column)` in the matrix with this index.
    fn element(&self, index: usize, place: [usize; 2]) -> Place {
        let [row, column] = self.turned(place);
        let start = Place {
            slot: self.slot,
            dtype: self.dtype,
            start_bytes: self.offset_bytes + index * self.matrix_bytes + row * self.row_bytes,
        };
        start.skip(self.origin + column)
    }

    /// The first rule of `MPSMatrix.h` that it breaks, and the value that does.
    fn broken_rule(&self) -> Option<(&'static str, usize)> {
        let size = self.dtype.size_in_bytes();
        let (offset, row, matrix) = (self.offset_bytes, self.row_bytes, self.matrix_bytes);
        let (columns, rows) = (self.columns.saturating_mul(size), self.rows);
        let splits = |bytes: usize, unit| !bytes.is_multiple_of(unit);
        match () {
            () if splits(offset, size) => Some(("offset splits an element", offset)),
            () if splits(row, size) => Some(("row stride splits an element", row)),
            () if row < columns => Some(("row stride is shorter than a row", row)),
            () if splits(matrix, row) => Some(("matrix stride splits a row", matrix)),
            () if matrix < rows.saturating_mul(row) => {
                Some(("matrix stride is shorter than a matrix", matrix))
            }
            () => None,
        }
    }
}

fn expect(matrix: &Matrix, expected: [usize; 2], got: [usize; 2]) -> Result<(), Fault> {
    let slot = matrix.slot;
    match got == expected {
        true => Ok(()),
        false => Err(Fault::Shape {
            slot,
            expected,
            got,
        }),
    }
}
