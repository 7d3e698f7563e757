//! The product, its factors and its summand as one node of the graph.

use super::MatMulOptions;
use super::batch::{Operand, Sizes, Target, split};
use crate::Result;
use crate::host::{Rows, on_host, stored, tensor_like};
use crate::path::by_device;
use crate::storage::sum_to_shape;
use crate::tape::Record;
#[cfg(any(target_vendor = "apple", soft_metal))]
use candle_core::MetalStorage;
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result as CandleResult, Shape, Tensor,
};
use metal_candle_cpu::gemm::{MatrixMut, Term, Then, computed_batch, product, turned};
use metal_candle_cpu::threads::for_each_row;

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
        let dtype = a.0.dtype();
        let a = Operand::new(a.0, a.1, self.options.transpose_a, &sizes.batch)?;
        let b = Operand::new(b.0, b.1, self.options.transpose_b, &sizes.batch)?;
        let y = match c {
            None => self.products(&sizes, |i| (a.matrix(i), b.matrix(i))),
            Some(c) => self.added_products(c, &a, &b, &sizes)?,
        };
        Ok((stored(y, &shape, dtype)?, shape))
    }

    /// Every product of the batch after the other, in memory that is written once.
    fn products<'a>(&self, sizes: &Sizes, term: impl Fn(usize) -> Term<'a>) -> Vec<f32> {
        computed_batch(self.options.alpha as f32, sizes.count(), term)
    }

    fn added_products(
        &self,
        c: Stored<'_>,
        a: &Operand<'_>,
        b: &Operand<'_>,
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
        let beta = self.options.beta as f32;
        for_each_row(y, sizes.n, |i, y| {
            for (y, c) in y.iter_mut().zip(c.row(i)) {
                *y = beta * c;
            }
        });
        Ok(())
    }

    fn add(&self, c: MatrixMut<'_>, (a, b): Term<'_>) {
        product(c, Then::Add, self.options.alpha as f32, a, b);
    }

    /// Those of the operands that are tracked.
    fn gradients(
        &self,
        a: &Tensor,
        b: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        by_device!(dy,
            cpu: self.gradients_on_cpu(a, b, dy),
            metal: super::metal::gradients(self.options, a, b, dy))
    }

    fn gradients_on_cpu(
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
        let b = Operand::new(b.0, b.1, self.options.transpose_b, &sizes.batch)?;
        let term = |i| (dy.matrix(i), b.matrix(i).transposed());
        self.gradient(a, self.options.transpose_a, sizes, term)
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
        let term = |i| (a.matrix(i).transposed(), dy.matrix(i));
        self.gradient(b, self.options.transpose_b, sizes, term)
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
            true => turned(term(i)),
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

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        a: &MetalStorage,
        a_layout: &Layout,
        b: &MetalStorage,
        b_layout: &Layout,
    ) -> CandleResult<(MetalStorage, Shape)> {
        super::metal::forward(self.options, (a, a_layout), (b, b_layout), None)
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

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        a: &MetalStorage,
        a_layout: &Layout,
        b: &MetalStorage,
        b_layout: &Layout,
        c: &MetalStorage,
        c_layout: &Layout,
    ) -> CandleResult<(MetalStorage, Shape)> {
        let c = Some((c, c_layout));
        super::metal::forward(self.options, (a, a_layout), (b, b_layout), c)
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
