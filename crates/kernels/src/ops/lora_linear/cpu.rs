//! Both branches in one pass over the result.

use super::LoraLinear;
use crate::host::{slice_of, stored, tensor_like};
use crate::node::{Function, Gradients, Trace, Value};
use crate::ops::linear::cpu::sum_with_bias;
use crate::ops::linear::result_shape;
use crate::{Dropout, Result};
use candle_core::Tensor;
use metal_candle_cpu::gemm::{Matrix, MatrixMut, Then, computed, computed_sum, product};
use metal_candle_cpu::threads::for_each_row;
use std::borrow::Cow;

pub(super) struct Cpu;

impl Function<LoraLinear, 3> for Cpu {
    /// `h`, `(M, R)`.
    type Saved = Vec<f32>;

    fn forward(op: &LoraLinear, [x, a, b]: [&Tensor; 3]) -> Result<(Value, Vec<f32>)> {
        let (x_storage, x_layout) = x.storage_and_layout();
        let (a_storage, a_layout) = a.storage_and_layout();
        let (b_storage, b_layout) = b.storage_and_layout();
        let ((r, k), (n, _)) = (a.dims2()?, b.dims2()?);
        let values = slice_of(&x_storage, x_layout)?;
        let (a, b) = (
            slice_of(&a_storage, a_layout)?,
            slice_of(&b_storage, b_layout)?,
        );
        let m = values.len() / k.max(1);
        let input = dropped(op.dropout, &values, k);
        let input = Matrix::new(&input, m, k);
        let h = computed(1.0, input, Matrix::new(&a, r, k).transposed());
        let y = sum_of_branches(op, Matrix::new(&values, m, k), &h, Matrix::new(&b, n, r))?;
        let shape = result_shape(x.dims(), n);
        Ok((Value::cpu(stored(y, &shape, x.dtype())?, shape), h))
    }

    fn backward(op: &LoraLinear, h: &Vec<f32>, trace: Trace<'_, 3>) -> Result<Gradients<3>> {
        let Trace { inputs, dy, .. } = trace;
        let (storage, layout) = dy.storage_and_layout();
        let dy = slice_of(&storage, layout)?;
        let [x, a, b] = inputs;
        let (n, r) = b.dims2()?;
        let m = x.elem_count() / a.dim(1)?.max(1);
        let dy = Matrix::new(&dy, m, n);
        let db = b.track_op().then(|| {
            let db = computed(op.scale as f32, dy.transposed(), Matrix::new(h, m, r));
            tensor_like(db, b)
        });
        let [dx, da] = match x.track_op() || a.track_op() {
            true => through_h(op, inputs, dy)?,
            false => [None, None],
        };
        Ok([dx, da, db.transpose()?])
    }
}

/// `x W^T + bias + (scale * h) B^T`, `(M, N)`.
fn sum_of_branches(op: &LoraLinear, x: Matrix<'_>, h: &[f32], b: Matrix<'_>) -> Result<Vec<f32>> {
    let weight = op.weight.on_host()?;
    let scaled: Vec<f32> = h.iter().map(|h| op.scale as f32 * h).collect();
    let h = Matrix::new(&scaled, x.rows, b.columns);
    let terms = [(x, weight.matrix()?.transposed()), (h, b.transposed())];
    Ok(sum_with_bias(&terms, op.bias.as_ref())?)
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

/// The gradients of `x` and `A`, from that of `h`, which is `scale * dy B`.
fn through_h(op: &LoraLinear, [x, a, b]: &[Tensor; 3], dy: Matrix<'_>) -> Result<Gradients<2>> {
    let (x_storage, x_layout) = x.storage_and_layout();
    let (a_storage, a_layout) = a.storage_and_layout();
    let (b_storage, b_layout) = b.storage_and_layout();
    let b = slice_of(&b_storage, b_layout)?;
    let (r, k) = a.dims2()?;
    let dh = computed(op.scale as f32, dy, Matrix::new(&b, dy.columns, r));
    let dh = Matrix::new(&dh, dy.rows, r);
    let da = a.track_op().then(|| {
        let x = slice_of(&x_storage, x_layout)?;
        let input = dropped(op.dropout, &x, k);
        let da = computed(1.0, dh.transposed(), Matrix::new(&input, dy.rows, k));
        tensor_like(da, a)
    });
    let dx = x.track_op().then(|| {
        let a = slice_of(&a_storage, a_layout)?;
        tensor_like(input_gradient(op, dy, dh, Matrix::new(&a, r, k))?, x)
    });
    Ok([dx.transpose()?, da.transpose()?])
}

/// `dropout'(dh A) + dy W`.
fn input_gradient(
    op: &LoraLinear,
    dy: Matrix<'_>,
    dh: Matrix<'_>,
    a: Matrix<'_>,
) -> Result<Vec<f32>> {
    let weight = op.weight.on_host()?;
    let weight = weight.matrix()?;
    let Some(dropout) = op.dropout else {
        return Ok(computed_sum(1.0, &[(dy, weight), (dh, a)]));
    };
    let mut dx = computed(1.0, dh, a);
    drop_elements(dropout, &mut dx, a.columns);
    let dx_matrix = MatrixMut::new(&mut dx, dy.rows, a.columns);
    product(dx_matrix, Then::Add, 1.0, dy, weight);
    Ok(dx)
}
