//! From a product to a dispatch.

use candle_core::DType;

use super::shape::Block;
use super::{GemvPlan, index};
use crate::plan::axis::{self, ADDEND, Axis, LEFT, RESULT, RIGHT};
use crate::plan::gemm::FLOATS;
use crate::plan::problem::{Problem, Stored};
use crate::plan::{Gemm, Reject, Slot, limits, scalar};

impl GemvPlan {
    /// Plans `gemm`, whose result is one row or one column, without copying an operand.
    ///
    /// The elements of the vector are neighbours, as are those of the result, and results of a
    /// batch follow each other. Rows or columns of the matrix are contiguous; the addend has any
    /// strides.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit; [`SteelPlan`](crate::plan::SteelPlan) takes most
    /// of that.
    pub fn plan(gemm: &Gemm<'_>) -> Result<Self, Reject> {
        let mut problem = Problem::new(gemm, "gemv", &FLOATS)?;
        problem.fold_rows_of_any_stride();
        let roles = Roles::new(&problem)?;
        roles.check_result(&problem)?;
        let block = Block::choose(roles.stored.transposed, problem.inner.len, roles.outer.len);
        if block.diverges(problem.inner.len, roles.outer.len) {
            let (columns, multiple) = (roles.outer.len, block.reach());
            return Err(Reject::DivergentBarrier { columns, multiple });
        }
        check_addend(&problem, roles.outer.len, block)?;
        roles.check_limits(&problem)?;
        Ok(roles.plan(&problem, block))
    }
}

/// Roles: which factor is the matrix, and which the vector.
struct Roles {
    matrix: (Slot, usize),
    vector: (Slot, usize),
    /// The axis of the result.
    outer: Axis,
    /// The matrix as one row for each element of the result.
    stored: Stored,
}

impl Roles {
    fn new(problem: &Problem) -> Result<Self, Reject> {
        let (left, right) = ((Slot::Left, LEFT), (Slot::Right, RIGHT));
        let (matrix, vector, outer) = match (problem.rows.len, problem.columns.len) {
            (_, 1) => (left, right, problem.rows),
            (1, _) => (right, left, problem.columns),
            (rows, columns) => return Err(Reject::NotAVector { rows, columns }),
        };
        let stored = problem.stored_or_reject(matrix, &outer, &problem.inner)?;
        let column_stride = problem.inner.strides[vector.1];
        if problem.inner.len > 1 && column_stride != 1 {
            let slot = vector.0;
            return Err(Reject::StridedRow {
                slot,
                column_stride,
            });
        }
        Ok(Self {
            matrix,
            vector,
            outer,
            stored,
        })
    }

    /// The result has no strides in the kernel's arguments.
    fn check_result(&self, problem: &Problem) -> Result<(), Reject> {
        let len = self.outer.len;
        let between = problem.result_step(len)?;
        let strides = [self.outer.strides[RESULT], between];
        let packed = (len == 1 || strides[0] == 1) && between == len;
        limits::allow(packed, Reject::SpacedResult { len, strides })
    }

    /// The kernel multiplies whole extents in `int`s, and that of the results in an unsigned one.
    fn check_limits(&self, problem: &Problem) -> Result<(), Reject> {
        let (outer, inner) = (self.outer.len, problem.inner.len);
        let rows = if self.stored.transposed { inner } else { outer };
        let extent = rows.saturating_mul(self.stored.ld);
        let matrix = extent.saturating_add(outer).saturating_add(inner);
        let addend = outer.saturating_mul(self.outer.strides[ADDEND]);
        let results = outer.saturating_mul(problem.count());
        limits::check_count("interior columns", inner)?;
        limits::check_count("elements of the matrix", matrix)?;
        limits::check_count("elements of the addend", addend)?;
        limits::check_count("elements of the results", results)
    }

    fn plan(&self, problem: &Problem, block: Block) -> GemvPlan {
        let (batch, adds) = (&problem.batch, problem.addend.is_some());
        GemvPlan {
            dtype: problem.dtype,
            kernel: block.kernel(problem.dtype, batch.len() > 1, adds),
            bindings: problem.bindings(self.indices()),
            in_vec_size: problem.inner.len as i32,
            out_vec_size: self.outer.len as i32,
            matrix_ld: self.stored.ld as i32,
            alpha: problem.alpha,
            beta: problem.beta,
            batch_shape: axis::values(batch, 1, |axis| axis.len as i32),
            vector_batch_strides: strides(batch, self.vector.1),
            matrix_batch_strides: strides(batch, self.matrix.1),
            addend_batch_strides: strides(batch, ADDEND),
            addend_stride: self.outer.strides[ADDEND] as i32,
            grid: block.grid(self.outer.len, problem.count()),
            group: block.group(),
        }
    }

    /// Places of left and right in the argument table.
    fn indices(&self) -> [usize; 2] {
        match self.matrix.0 {
            Slot::Left => [index::MATRIX, index::VECTOR],
            _ => [index::VECTOR, index::MATRIX],
        }
    }
}

/// What the kernel does to an addend is wrong in place where threads overlap, and rounds factors.
fn check_addend(problem: &Problem, len: usize, block: Block) -> Result<(), Reject> {
    let Some(addend) = problem.addend else {
        return Ok(());
    };
    let step = block.step();
    if addend.slot == Slot::Result && !len.is_multiple_of(step) {
        return Err(Reject::SharedAddend { len, step });
    }
    let (dtype, alpha, beta) = (problem.dtype, problem.alpha, problem.beta);
    let exact = is_exact(dtype, alpha) && is_exact(dtype, beta);
    limits::allow(exact, Reject::RoundedFactors { dtype, alpha, beta })
}

fn is_exact(dtype: DType, factor: f32) -> bool {
    let value = f64::from(factor);
    scalar::round(dtype, value) == value
}

fn strides(batch: &[Axis], operand: usize) -> Vec<i64> {
    axis::values(batch, 0, |axis| axis.strides[operand] as i64)
}
