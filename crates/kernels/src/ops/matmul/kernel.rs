//! The product, its factors and its summand as one node of the graph.

use super::MatMulOptions;
use super::batch::{Operand, Sizes, Target};
use super::cpu::{Matrix, MatrixMut, Then, Threads, for_each_panel, product};
use crate::Result;
use crate::host::{Rows, on_host, stored, tensor_like};
use crate::storage::sum_to_shape;
use crate::tape::Record;
use crate::threads::for_each_row;
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result as CandleResult, Shape, Tensor,
};

/// `alpha * op(A) op(B) + beta * C`.
pub(super) fn forward(
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
    options: MatMulOptions,
) -> Result<Tensor> {
    let op = MatMul { options };
    Ok(match c {
        Some(c) if options.beta != 0.0 => a.record3(b, c, op)?,
        _ => a.record2(b, op)?,
    })
}

struct MatMul {
    options: MatMulOptions,
}

type Stored<'a> = (&'a CpuStorage, &'a Layout);

impl MatMul {
    fn product(
        &self,
        a: Stored<'_>,
        b: Stored<'_>,
        c: Option<Stored<'_>>,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let sizes = Sizes::new(a.1, b.1, self.options)?;
        let shape = sizes.shape();
        let mut y = vec![0.0; shape.elem_count()];
        let mut then = Then::Write;
        if let Some(c) = c {
            self.write_summand(c, &sizes, &mut y)?;
            then = Then::Add;
        }
        let mut y = Target::of(y, &shape);
        self.write_product(a, b, &sizes, then, &mut y)?;
        Ok((stored(y.into_values(), &shape, a.0.dtype())?, shape))
    }

    fn write_summand(&self, c: Stored<'_>, sizes: &Sizes, y: &mut [f32]) -> CandleResult<()> {
        let c = Rows::new(c.0, &c.1.broadcast_as(sizes.shape())?)?;
        let beta = self.options.beta as f32;
        for_each_row(y, sizes.n, |i, y| {
            for (y, c) in y.iter_mut().zip(c.row(i)) {
                *y = beta * c;
            }
        });
        Ok(())
    }

    fn write_product(
        &self,
        a: Stored<'_>,
        b: Stored<'_>,
        sizes: &Sizes,
        then: Then,
        y: &mut Target,
    ) -> CandleResult<()> {
        let a = Operand::new(a.0, a.1, self.options.transpose_a, &sizes.batch)?;
        for_each_part(b, sizes, |i, first, b| {
            let (y, a) = (y.matrix(i), a.matrix(i));
            if self.options.transpose_b {
                // Rows of B are columns of the result.
                let y = y.column_range(first, b.rows);
                return self.multiply(y, then, a, b.transposed());
            }
            // Rows of B are a part of the sum.
            let then = if first == 0 { then } else { Then::Add };
            self.multiply(y, then, a.column_range(first, b.rows), b);
        })
    }

    fn multiply(&self, c: MatrixMut<'_>, then: Then, a: Matrix<'_>, b: Matrix<'_>) {
        product(c, then, self.options.alpha as f32, a, b, Threads::All);
    }

    fn gradients(
        &self,
        a: &Tensor,
        b: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let (a_storage, a_layout) = a.storage_and_layout();
        let (b_storage, b_layout) = b.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let sizes = Sizes::new(a_layout, b_layout, self.options)?;
        let dy = Operand::new(on_host(&dy_storage)?, dy_layout, false, &sizes.batch)?;
        let da = a.track_op().then(|| {
            let da = self.da(a_layout, (on_host(&b_storage)?, b_layout), &dy, &sizes)?;
            tensor_like(da, a)
        });
        let db = b.track_op().then(|| {
            let db = self.db((on_host(&a_storage)?, a_layout), b_layout, &dy, &sizes)?;
            tensor_like(db, b)
        });
        Ok((da.transpose()?, db.transpose()?))
    }

    /// `dA = alpha dy op(B)^T`.
    fn da(
        &self,
        a: &Layout,
        b: Stored<'_>,
        dy: &Operand<'_>,
        sizes: &Sizes,
    ) -> CandleResult<Vec<f32>> {
        let mut da = Target::like(a, self.options.transpose_a, &sizes.batch)?;
        for_each_part(b, sizes, |i, first, b| {
            let (then, da, dy) = (da.then(first), da.matrix(i), dy.matrix(i));
            if self.options.transpose_b {
                // Rows of B are a part of the sum.
                return self.multiply(da, then, dy.column_range(first, b.rows), b);
            }
            // Rows of B are columns of the gradient.
            let da = da.column_range(first, b.rows);
            self.multiply(da, then, dy, b.transposed());
        })?;
        Ok(da.into_values())
    }

    /// `dB = alpha op(A)^T dy`.
    fn db(
        &self,
        a: Stored<'_>,
        b: &Layout,
        dy: &Operand<'_>,
        sizes: &Sizes,
    ) -> CandleResult<Vec<f32>> {
        let a = Operand::new(a.0, a.1, self.options.transpose_a, &sizes.batch)?;
        let mut db = Target::like(b, self.options.transpose_b, &sizes.batch)?;
        for i in 0..sizes.count() {
            let (then, a) = (db.then(0), a.matrix(i).transposed());
            self.multiply(db.matrix(i), then, a, dy.matrix(i));
        }
        Ok(db.into_values())
    }
}

/// Calls `f` for every matrix of the batch with some rows of `B` as it is stored, and with the
/// index of the first: all rows at once, or a panel of a weight that had to be widened.
fn for_each_part(
    b: Stored<'_>,
    sizes: &Sizes,
    mut f: impl FnMut(usize, usize, Matrix<'_>),
) -> CandleResult<()> {
    if b.1.dims().len() == 2 {
        return for_each_panel(b.0, b.1, |first, panel| {
            (0..sizes.count()).for_each(|i| f(i, first, panel));
        });
    }
    let b = Operand::new(b.0, b.1, false, &sizes.batch)?;
    (0..sizes.count()).for_each(|i| f(i, 0, b.matrix(i)));
    Ok(())
}

impl CustomOp2 for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        self.product((a, a_layout), (b, b_layout), None)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(a, b, dy)
    }
}

impl CustomOp3 for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
        c: &CpuStorage,
        c_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        self.product((a, a_layout), (b, b_layout), Some((c, c_layout)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (da, db) = self.gradients(a, b, dy)?;
        let dc = c
            .track_op()
            .then(|| sum_to_shape(dy, c)? * self.options.beta);
        Ok((da, db, dc.transpose()?))
    }
}
