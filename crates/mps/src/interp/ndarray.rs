//! `MPSNDArrayMatrixMultiplication`.

use super::{Fault, Host, Place};
use crate::plan::{NdArray, NdArrayMatrixMultiplication, NdArrayMatrixMultiplicationCall};

/// What `MPSNDArray` pads rows to unless they are packed.
const PADDED_ROW_BYTES: usize = 16;

impl Host {
    /// Runs every call of `plan`.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; calls before the faulty one have been carried out.
    pub fn multiply_ndarray(&mut self, plan: &NdArrayMatrixMultiplication) -> Result<(), Fault> {
        plan.calls
            .iter()
            .try_for_each(|call| self.multiply_arrays(plan.alpha, call))
    }

    fn multiply_arrays(
        &mut self,
        alpha: f64,
        call: &NdArrayMatrixMultiplicationCall,
    ) -> Result<(), Fault> {
        let [interior, rows] = self.checked_sizes(&call.left)?;
        let [columns, right_rows] = self.checked_sizes(&call.right)?;
        expect(&call.right, [columns, interior], [columns, right_rows])?;
        expect(
            &call.result,
            [columns, rows],
            self.checked_sizes(&call.result)?,
        )?;
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = 0.0;
                for k in 0..interior {
                    sum +=
                        self.read(call.left.at(k, row))? * self.read(call.right.at(column, k))?;
                }
                self.write(call.result.at(column, row), alpha * sum)?;
            }
        }
        Ok(())
    }

    /// Columns and rows after the transposition, if the buffer holds them.
    fn checked_sizes(&self, array: &NdArray) -> Result<[usize; 2], Fault> {
        let [columns, rows] = array.dimension_sizes;
        if columns == 0 || rows == 0 {
            return Err(Fault::Empty {
                slot: array.slot,
                dimensions: array.dimension_sizes,
            });
        }
        let last = array.stored(columns - 1, rows - 1);
        let len_bytes = self.len(array.slot)?;
        if last.end_bytes() > len_bytes {
            return Err(Fault::OutOfBuffer {
                slot: array.slot,
                start_bytes: array.offset_bytes,
                end_bytes: last.end_bytes(),
                len_bytes,
            });
        }
        match array.transpose_dimensions {
            None => Ok([columns, rows]),
            Some([0, 1] | [1, 0]) => Ok([rows, columns]),
            Some(dimensions) => Err(Fault::Transpose {
                slot: array.slot,
                dimensions,
            }),
        }
    }
}

fn expect(array: &NdArray, expected: [usize; 2], got: [usize; 2]) -> Result<(), Fault> {
    let slot = array.slot;
    if got == expected {
        Ok(())
    } else {
        Err(Fault::Shape {
            slot,
            expected,
            got,
        })
    }
}

impl NdArray {
    /// Where `(column, row)` is, after the transposition.
    fn at(&self, column: usize, row: usize) -> Place {
        match self.transpose_dimensions {
            None => self.stored(column, row),
            Some(_) => self.stored(row, column),
        }
    }

    fn stored(&self, column: usize, row: usize) -> Place {
        let size_in_bytes = self.dtype.size_in_bytes();
        let tight = self.dimension_sizes[0].saturating_mul(size_in_bytes);
        let padded = tight
            .div_ceil(PADDED_ROW_BYTES)
            .saturating_mul(PADDED_ROW_BYTES);
        let row_bytes = if self.packed_rows { tight } else { padded };
        let in_row_bytes = column.saturating_mul(size_in_bytes);
        let start_bytes = self
            .offset_bytes
            .saturating_add(row.saturating_mul(row_bytes));
        let start_bytes = start_bytes.saturating_add(in_row_bytes);
        Place {
            slot: self.slot,
            dtype: self.dtype,
            start_bytes,
        }
    }
}
