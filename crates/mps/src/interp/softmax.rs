//! `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`.

use std::ops::Range;

use super::window::Window;
use super::{Fault, Host};
use crate::plan::{MatrixSoftMax, MatrixSoftMaxCall, SoftMaxKind};

impl Host {
    /// Runs every call of `plan`.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; calls before the faulty one have been carried out.
    pub fn soft_max(&mut self, plan: &MatrixSoftMax) -> Result<(), Fault> {
        for call in &plan.calls {
            self.check_matrix(&call.source)?;
            self.check_matrix(&call.result)?;
            for index in call.indices() {
                self.soft_max_one(plan.kind, call, index)?;
            }
        }
        Ok(())
    }

    fn soft_max_one(
        &mut self,
        kind: SoftMaxKind,
        call: &MatrixSoftMaxCall,
        index: usize,
    ) -> Result<(), Fault> {
        let window = |matrix, origin| Window {
            matrix,
            origin,
            index,
            transposed: false,
        };
        let source = window(call.source, call.source_origin);
        let result = window(call.result, call.result_origin);
        source.check(call.source_rows, call.source_columns)?;
        result.check(call.source_rows, call.source_columns)?;
        for row in 0..call.source_rows {
            let values = (0..call.source_columns).map(|column| self.read(source.at(row, column)));
            let mut values = values.collect::<Result<Vec<_>, _>>()?;
            soft_max_row(kind, &mut values);
            for (column, value) in values.into_iter().enumerate() {
                self.write(result.at(row, column), value)?;
            }
        }
        Ok(())
    }
}

impl MatrixSoftMaxCall {
    fn indices(&self) -> Range<usize> {
        self.batch_start..self.batch_start.saturating_add(self.batch_size)
    }
}

/// In place, with the largest value taken out first so that no exponential overflows.
fn soft_max_row(kind: SoftMaxKind, values: &mut [f64]) {
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter_mut().for_each(|value| *value -= max);
    let sum: f64 = values.iter().map(|value| value.exp()).sum();
    for value in values {
        *value = match kind {
            SoftMaxKind::SoftMax => value.exp() / sum,
            SoftMaxKind::LogSoftMax => *value - sum.ln(),
        };
    }
}
