//! `MPSMatrixMultiplication`.

use std::ops::Range;

use super::window::Window;
use super::{Fault, Host};
use crate::plan::{MatrixMultiplication, MatrixMultiplicationCall};

impl Host {
    /// Runs every call of `plan`. The old result is read only if beta is not 0.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; calls before the faulty one have been carried out.
    pub fn multiply(&mut self, plan: &MatrixMultiplication) -> Result<(), Fault> {
        for call in &plan.calls {
            for matrix in [&call.left, &call.right, &call.result] {
                self.check_matrix(matrix)?;
            }
            for index in call.indices() {
                self.multiply_one(plan, call.windows(plan, index))?;
            }
        }
        Ok(())
    }

    fn multiply_one(
        &mut self,
        plan: &MatrixMultiplication,
        [left, right, result]: [Window; 3],
    ) -> Result<(), Fault> {
        let (rows, columns, interior) =
            (plan.result_rows, plan.result_columns, plan.interior_columns);
        left.check(rows, interior)?;
        right.check(interior, columns)?;
        result.check(rows, columns)?;
        for row in 0..rows {
            for column in 0..columns {
                let mut sum = 0.0;
                for k in 0..interior {
                    sum += self.read(left.at(row, k))? * self.read(right.at(k, column))?;
                }
                let at = result.at(row, column);
                let mut value = plan.alpha * sum;
                if plan.beta != 0.0 {
                    value += plan.beta * self.read(at)?;
                }
                self.write(at, value)?;
            }
        }
        Ok(())
    }
}

impl MatrixMultiplicationCall {
    fn indices(&self) -> Range<usize> {
        self.batch_start..self.batch_start.saturating_add(self.batch_size)
    }

    fn windows(&self, plan: &MatrixMultiplication, index: usize) -> [Window; 3] {
        let window = |matrix, origin, transposed| Window {
            matrix,
            origin,
            index,
            transposed,
        };
        [
            window(self.left, self.left_origin, plan.transpose_left),
            window(self.right, self.right_origin, plan.transpose_right),
            window(self.result, self.result_origin, false),
        ]
    }
}
