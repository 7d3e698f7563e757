//! Both branches in one node of the graph: nothing but `dropout(x) A^T` is kept for backward.

use super::LoraWeights;
use crate::Dropout;
use crate::gemm::{Matrix, MatrixMut, Then, computed, computed_sum, product, sum_of_products};
use crate::host::{on_host, slice, slice_of, stored, tensor_like};
use crate::threads::for_each_row;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::borrow::Cow;
use std::sync::OnceLock;

pub(super) struct LoraLinear {
    /// `(N, K)`, frozen.
    weight: Tensor,
    /// `(N)`, frozen.
    bias: Option<Tensor>,
    scale: f32,
    dropout: Option<Dropout>,
    /// `h = dropout(x) A^T`, `(M, R)`, written by forward.
    h: OnceLock<Vec<f32>>,
}

impl LoraLinear {
    pub(super) fn new(weight: &Tensor, bias: Option<&Tensor>, lora: LoraWeights<'_>) -> Self {
        Self {
            weight: weight.detach(),
            bias: bias.map(Tensor::detach),
            scale: lora.scale as f32,
            dropout: lora.dropout,
            h: OnceLock::new(),
        }
    }

    /// `x W^T + bias + (scale * h) B^T`, `(M, N)`.
    fn forward(&self, x: Matrix<'_>, h: &[f32], b: Matrix<'_>) -> Result<Vec<f32>> {
        let (storage, layout) = self.weight.storage_and_layout();
        let weight = Matrix::of(on_host(&storage)?, layout)?;
        let scaled: Vec<f32> = h.iter().map(|h| self.scale * h).collect();
        let h = Matrix::new(&scaled, x.rows, b.columns);
        let terms = [(x, weight.transposed()), (h, b.transposed())];
        let Some(bias) = &self.bias else {
            return Ok(computed_sum(1.0, &terms));
        };
        let (storage, layout) = bias.storage_and_layout();
        let mut y = slice_of(&storage, layout)?.repeat(x.rows);
        let y_matrix = MatrixMut::new(&mut y, x.rows, b.rows);
        sum_of_products(y_matrix, Then::Add, 1.0, &terms);
        Ok(y)
    }

    fn dropped<'a>(&self, x: &'a [f32], width: usize) -> Cow<'a, [f32]> {
        let mut x = Cow::Borrowed(x);
        if let Some(dropout) = self.dropout {
            drop_elements(dropout, x.to_mut(), width);
        }
        x
    }
}

fn drop_elements(dropout: Dropout, x: &mut [f32], width: usize) {
    for_each_row(x, width, |row, x| {
        for (i, x) in (row * width..).zip(x) {
            *x *= dropout.factor(i as u64);
        }
    });
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (r, k) = a_layout.shape().dims2()?;
        let (n, _) = b_layout.shape().dims2()?;
        let dtype = x.dtype();
        let (x, a, b) = (
            slice(x, x_layout)?,
            slice(a, a_layout)?,
            slice(b, b_layout)?,
        );
        let m = x.len() / k.max(1);
        let dropped = self.dropped(&x, k);
        let dropped = Matrix::new(&dropped, m, k);
        let h = computed(1.0, dropped, Matrix::new(&a, r, k).transposed());
        let y = self.forward(Matrix::new(&x, m, k), &h, Matrix::new(&b, n, r))?;
        // A second run of the same operation would write the same numbers.
        let _ = self.h.set(h);

        let lead = &x_layout.dims()[..x_layout.dims().len() - 1];
        let shape = Shape::from([lead, &[n]].concat());
        Ok((stored(y, &shape, dtype)?, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(h) = self.h.get() else {
            candle_core::bail!("lora_linear: backward before forward");
        };
        let (storage, layout) = dy.storage_and_layout();
        let dy = slice_of(&storage, layout)?;
        let (n, r) = b.dims2()?;
        let m = x.elem_count() / a.dim(1)?.max(1);
        let dy = Matrix::new(&dy, m, n);
        let db = b.track_op().then(|| {
            let db = computed(self.scale, dy.transposed(), Matrix::new(h, m, r));
            tensor_like(db, b)
        });
        let (dx, da) = match x.track_op() || a.track_op() {
            true => self.through_h(x, a, b, dy)?,
            false => (None, None),
        };
        Ok((dx, da, db.transpose()?))
    }
}

impl LoraLinear {
    /// The gradients of `x` and `A`, from that of `h`, which is `scale * dy B`.
    fn through_h(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        dy: Matrix<'_>,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x_storage, x_layout) = x.storage_and_layout();
        let (a_storage, a_layout) = a.storage_and_layout();
        let (b_storage, b_layout) = b.storage_and_layout();
        let b = slice_of(&b_storage, b_layout)?;
        let (r, k) = a.dims2()?;
        let dh = computed(self.scale, dy, Matrix::new(&b, dy.columns, r));
        let dh = Matrix::new(&dh, dy.rows, r);
        let da = a.track_op().then(|| {
            let x = slice_of(&x_storage, x_layout)?;
            let dropped = self.dropped(&x, k);
            let da = computed(1.0, dh.transposed(), Matrix::new(&dropped, dy.rows, k));
            tensor_like(da, a)
        });
        let dx = x.track_op().then(|| {
            let a = slice_of(&a_storage, a_layout)?;
            tensor_like(self.dx(dy, dh, Matrix::new(&a, r, k))?, x)
        });
        Ok((dx.transpose()?, da.transpose()?))
    }

    /// `dropout'(dh A) + dy W`.
    fn dx(&self, dy: Matrix<'_>, dh: Matrix<'_>, a: Matrix<'_>) -> Result<Vec<f32>> {
        let (storage, layout) = self.weight.storage_and_layout();
        let weight = Matrix::of(on_host(&storage)?, layout)?;
        let Some(dropout) = self.dropout else {
            return Ok(computed_sum(1.0, &[(dy, weight), (dh, a)]));
        };
        let mut dx = computed(1.0, dh, a);
        drop_elements(dropout, &mut dx, a.columns);
        let dx_matrix = MatrixMut::new(&mut dx, dy.rows, a.columns);
        product(dx_matrix, Then::Add, 1.0, dy, weight);
        Ok(dx)
    }
}
