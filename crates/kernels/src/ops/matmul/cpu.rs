//! The product, its factors and its summand in one pass.

use super::MatMul;
use super::batch::{Matrices, Sizes, Target, split};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::{Rows, on_host, stored, tensor_like};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result as CandleResult, Tensor};
use metal_candle_cpu::gemm::{MatrixMut, Term, Then, computed_batch, product, transposed_term};
use metal_candle_cpu::threads::for_each_row;

pub(super) struct Cpu;

impl<const N: usize> Function<MatMul, N> for Cpu {
    type Saved = ();

    fn forward(op: &MatMul, operands: [&Tensor; N]) -> Result<(Value, ())> {
        let stored = operands.map(Tensor::storage_and_layout);
        let place = |i: usize| CandleResult::Ok((on_host(&stored[i].0)?, stored[i].1));
        let c = (N > 2).then(|| place(2)).transpose()?;
        Ok((op.product(place(0)?, place(1)?, c)?, ()))
    }

    fn backward(op: &MatMul, (): &(), trace: Trace<'_, N>) -> Result<Gradients<N>> {
        let Trace {
            inputs: operands,
            dy,
            ..
        } = trace;
        let of_product = op.product_gradients(&operands[0], &operands[1], dy)?;
        op.gradients(operands, of_product, dy)
    }
}

type Stored<'a> = (&'a CpuStorage, &'a Layout);

impl MatMul {
    fn product(&self, a: Stored<'_>, b: Stored<'_>, c: Option<Stored<'_>>) -> Result<Value> {
        let sizes = Sizes::new(a.1, b.1, self.0)?;
        let (shape, dtype) = (sizes.shape(), a.0.dtype());
        let a = Matrices::new(a.0, a.1, self.0.transpose_a, &sizes.batch)?;
        let b = Matrices::new(b.0, b.1, self.0.transpose_b, &sizes.batch)?;
        let y = match c {
            None => self.products(&sizes, |i| (a.matrix(i), b.matrix(i))),
            Some(c) => self.added_products(c, &a, &b, &sizes)?,
        };
        Ok(Value::cpu(stored(y, &shape, dtype)?, shape))
    }

    /// Every product of the batch after the other, in memory that is written once.
    fn products<'a>(&self, sizes: &Sizes, term: impl Fn(usize) -> Term<'a>) -> Vec<f32> {
        computed_batch(self.0.alpha as f32, sizes.count(), term)
    }

    fn added_products(
        &self,
        c: Stored<'_>,
        a: &Matrices<'_>,
        b: &Matrices<'_>,
        sizes: &Sizes,
    ) -> CandleResult<Vec<f32>> {
        let mut y = vec![0.0; sizes.shape().elem_count()];
        self.write_summand(c, sizes, &mut y)?;
        let mut y = Target::of(y, &sizes.shape());
        for i in 0..sizes.count() {
            self.add(y.matrix(i), (a.matrix(i), b.matrix(i)));
        }
        Ok(y.into_values())
    }

    fn write_summand(&self, c: Stored<'_>, sizes: &Sizes, y: &mut [f32]) -> CandleResult<()> {
        let c = Rows::new(c.0, &c.1.broadcast_as(sizes.shape())?)?;
        let beta = self.0.beta as f32;
        for_each_row(y, sizes.n, |i, y| {
            for (y, c) in y.iter_mut().zip(c.row(i)) {
                *y = beta * c;
            }
        });
        Ok(())
    }

    fn add(&self, c: MatrixMut<'_>, (a, b): Term<'_>) {
        product(c, Then::Add, self.0.alpha as f32, a, b);
    }

    /// Gradients of the factors that are tracked.
    fn product_gradients(&self, a: &Tensor, b: &Tensor, dy: &Tensor) -> Result<Gradients<2>> {
        let (a_storage, a_layout) = a.storage_and_layout();
        let (b_storage, b_layout) = b.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let sizes = Sizes::new(a_layout, b_layout, self.0)?;
        let dy = Matrices::new(on_host(&dy_storage)?, dy_layout, false, &sizes.batch)?;
        let da = a.track_op().then(|| {
            let da = self.da(a_layout, (on_host(&b_storage)?, b_layout), &dy, &sizes)?;
            tensor_like(da, a)
        });
        let db = b.track_op().then(|| {
            let db = self.db((on_host(&a_storage)?, a_layout), b_layout, &dy, &sizes)?;
            tensor_like(db, b)
        });
        Ok([da.transpose()?, db.transpose()?])
    }

    /// `dA = alpha dy op(B)^T`.
    fn da(
        &self,
        a: &Layout,
        b: Stored<'_>,
        dy: &Matrices<'_>,
        sizes: &Sizes,
    ) -> CandleResult<Vec<f32>> {
        let b = Matrices::new(b.0, b.1, self.0.transpose_b, &sizes.batch)?;
        let term = |i| (dy.matrix(i), b.matrix(i).transposed());
        self.gradient(a, self.0.transpose_a, sizes, term)
    }

    /// `dB = alpha op(A)^T dy`.
    fn db(
        &self,
        a: Stored<'_>,
        b: &Layout,
        dy: &Matrices<'_>,
        sizes: &Sizes,
    ) -> CandleResult<Vec<f32>> {
        let a = Matrices::new(a.0, a.1, self.0.transpose_a, &sizes.batch)?;
        let term = |i| (a.matrix(i).transposed(), dy.matrix(i));
        self.gradient(b, self.0.transpose_b, sizes, term)
    }

    /// The gradient of an operand: the product of each of its matrices in fresh memory, or sums of
    /// products where one matrix stands for several in the batch.
    fn gradient<'a>(
        &self,
        operand: &Layout,
        transposed: bool,
        sizes: &Sizes,
        term: impl Fn(usize) -> Term<'a>,
    ) -> CandleResult<Vec<f32>> {
        let term = |i| match transposed {
            true => transposed_term(term(i)),
            false => term(i),
        };
        let (count, (_, rows, columns)) = (sizes.count(), split(operand, false));
        if operand.shape().elem_count() == count * rows * columns {
            return Ok(self.products(sizes, term));
        }
        let mut target = Target::like(operand, &sizes.batch)?;
        for i in 0..count {
            self.add(target.matrix(i), term(i));
        }
        Ok(target.into_values())
    }
}
