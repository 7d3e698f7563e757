//! Both branches in one pass over the result.

use super::node::{Frozen, Gradients};
use crate::Dropout;
use crate::host::{on_host, slice, slice_of, stored, tensor_like};
use crate::ops::linear::cpu::sum_with_bias;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Shape, Storage, Tensor};
use metal_candle_cpu::gemm::{Matrix, MatrixMut, Then, computed, computed_sum, product};
use metal_candle_cpu::threads::for_each_row;
use std::borrow::Cow;

/// The result, and `h`, for `x`, `A` and `B`.
pub(super) fn forward(
    frozen: &Frozen,
    [x, a, b]: [(&CpuStorage, &Layout); 3],
    shape: &Shape,
) -> Result<(CpuStorage, CpuStorage)> {
    let (r, k) = a.1.shape().dims2()?;
    let (n, _) = b.1.shape().dims2()?;
    let dtype = x.0.dtype();
    let (x, a, b) = (slice(x.0, x.1)?, slice(a.0, a.1)?, slice(b.0, b.1)?);
    let m = x.len() / k.max(1);
    let input = dropped(frozen.dropout, &x, k);
    let input = Matrix::new(&input, m, k);
    let h = computed(1.0, input, Matrix::new(&a, r, k).transposed());
    let y = sum_of_branches(frozen, Matrix::new(&x, m, k), &h, Matrix::new(&b, n, r))?;
    Ok((stored(y, shape, dtype)?, CpuStorage::F32(h)))
}

/// `x W^T + bias + (scale * h) B^T`, `(M, N)`.
fn sum_of_branches(frozen: &Frozen, x: Matrix<'_>, h: &[f32], b: Matrix<'_>) -> Result<Vec<f32>> {
    let weight = frozen.weight.on_host()?;
    let scaled: Vec<f32> = h.iter().map(|h| frozen.scale as f32 * h).collect();
    let h = Matrix::new(&scaled, x.rows, b.columns);
    let terms = [(x, weight.matrix()?.transposed()), (h, b.transposed())];
    sum_with_bias(&terms, frozen.bias.as_ref())
}

fn dropped(dropout: Option<Dropout>, x: &[f32], width: usize) -> Cow<'_, [f32]> {
    let mut x = Cow::Borrowed(x);
    if let Some(dropout) = dropout {
        drop_elements(dropout, x.to_mut(), width);
    }
    x
}

fn drop_elements(dropout: Dropout, x: &mut [f32], width: usize) {
    for_each_row(x, width, |row, x| {
        for (i, x) in (row * width..).zip(x) {
            *x *= dropout.factor(i as u64);
        }
    });
}

pub(super) fn backward(
    frozen: &Frozen,
    h: &Storage,
    [x, a, b]: [&Tensor; 3],
    dy: &Tensor,
) -> Result<Gradients> {
    let (storage, layout) = dy.storage_and_layout();
    let dy = slice_of(&storage, layout)?;
    let (n, r) = b.dims2()?;
    let m = x.elem_count() / a.dim(1)?.max(1);
    let dy = Matrix::new(&dy, m, n);
    let h = on_host(h)?.as_slice::<f32>()?;
    let db = b.track_op().then(|| {
        let db = computed(frozen.scale as f32, dy.transposed(), Matrix::new(h, m, r));
        tensor_like(db, b)
    });
    let (dx, da) = match x.track_op() || a.track_op() {
        true => through_h(frozen, [x, a, b], dy)?,
        false => (None, None),
    };
    Ok((dx, da, db.transpose()?))
}

/// The gradients of `x` and `A`, from that of `h`, which is `scale * dy B`.
fn through_h(
    frozen: &Frozen,
    [x, a, b]: [&Tensor; 3],
    dy: Matrix<'_>,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (x_storage, x_layout) = x.storage_and_layout();
    let (a_storage, a_layout) = a.storage_and_layout();
    let (b_storage, b_layout) = b.storage_and_layout();
    let b = slice_of(&b_storage, b_layout)?;
    let (r, k) = a.dims2()?;
    let dh = computed(frozen.scale as f32, dy, Matrix::new(&b, dy.columns, r));
    let dh = Matrix::new(&dh, dy.rows, r);
    let da = a.track_op().then(|| {
        let x = slice_of(&x_storage, x_layout)?;
        let input = dropped(frozen.dropout, &x, k);
        let da = computed(1.0, dh.transposed(), Matrix::new(&input, dy.rows, k));
        tensor_like(da, a)
    });
    let dx = x.track_op().then(|| {
        let a = slice_of(&a_storage, a_layout)?;
        tensor_like(input_gradient(frozen, dy, dh, Matrix::new(&a, r, k))?, x)
    });
    Ok((dx.transpose()?, da.transpose()?))
}

/// `dropout'(dh A) + dy W`.
fn input_gradient(
    frozen: &Frozen,
    dy: Matrix<'_>,
    dh: Matrix<'_>,
    a: Matrix<'_>,
) -> Result<Vec<f32>> {
    let weight = frozen.weight.on_host()?;
    let weight = weight.matrix()?;
    let Some(dropout) = frozen.dropout else {
        return Ok(computed_sum(1.0, &[(dy, weight), (dh, a)]));
    };
    let mut dx = computed(1.0, dh, a);
    drop_elements(dropout, &mut dx, a.columns);
    let dx_matrix = MatrixMut::new(&mut dx, dy.rows, a.columns);
    product(dx_matrix, Then::Add, 1.0, dy, weight);
    Ok(dx)
}
