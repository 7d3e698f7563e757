//! Both branches in one pass over the result.

use super::LoraLinear;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::{Numbers, slice_of, stored, tensor_like};
use crate::ops::linear::cpu::sum_with_bias;
use crate::ops::linear::result_shape;
use crate::{Dropout, Result};
use candle_core::{Layout, Result as CandleResult, Storage, Tensor};
use metal_candle_cpu::gemm::{Matrix, MatrixMut, Then, computed, computed_sum, product};
use metal_candle_cpu::threads::for_each_row;

pub(super) struct Cpu;

impl Function<LoraLinear, 3> for Cpu {
    /// `h`, `(M, R)`.
    type Saved = Vec<f32>;

    fn forward(op: &LoraLinear, [x, a, b]: [&Tensor; 3]) -> Result<(Value, Vec<f32>)> {
        let (x_storage, x_layout) = x.storage_and_layout();
        let (a_storage, a_layout) = a.storage_and_layout();
        let (b_storage, b_layout) = b.storage_and_layout();
        let ((r, k), (n, _)) = (a.dims2()?, b.dims2()?);
        let values = Numbers::of(&x_storage, x_layout)?;
        let (a, b) = (
            Numbers::of(&a_storage, a_layout)?,
            Numbers::of(&b_storage, b_layout)?,
        );
        let input = dropped(op.dropout, (&x_storage, x_layout), k)?;
        let input = input.as_ref().unwrap_or(&values).matrix(k);
        let h = computed(1.0, input, a.matrix(k).transposed());
        let y = sum_of_branches(op, values.matrix(k), &h, b.matrix(r))?;
        let shape = result_shape(x.dims(), n);
        Ok((Value::cpu(stored(y, &shape, x.dtype())?, shape), h))
    }

    fn backward(op: &LoraLinear, h: &Vec<f32>, trace: Trace<'_, 3>) -> Result<Gradients<3>> {
        let Trace { inputs, dy, .. } = trace;
        let (storage, layout) = dy.storage_and_layout();
        let dy = Numbers::of(&storage, layout)?;
        let [x, a, b] = inputs;
        let (n, r) = b.dims2()?;
        let dy = dy.matrix(n);
        let db = b.track_op().then(|| {
            let db = computed(op.scale as f32, dy.transposed(), Matrix::new(h, dy.rows, r));
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

/// A copy of `x` of which elements are dropped, where any are.
fn dropped(
    dropout: Option<Dropout>,
    (storage, layout): (&Storage, &Layout),
    width: usize,
) -> CandleResult<Option<Numbers<'static>>> {
    let Some(dropout) = dropout else {
        return Ok(None);
    };
    let mut x = slice_of(storage, layout)?.into_owned();
    drop_elements(dropout, &mut x, width);
    Ok(Some(Numbers::Converted(x)))
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
    let b = Numbers::of(&b_storage, b_layout)?;
    let (r, k) = a.dims2()?;
    let dh = computed(op.scale as f32, dy, b.matrix(r));
    let dh = Matrix::new(&dh, dy.rows, r);
    let da = a.track_op().then(|| {
        let x = Numbers::of(&x_storage, x_layout)?;
        let input = dropped(op.dropout, (&x_storage, x_layout), k)?;
        let input = input.as_ref().unwrap_or(&x).matrix(k);
        let da = computed(1.0, dh.transposed(), input);
        tensor_like(da, a)
    });
    let dx = x.track_op().then(|| {
        let a = Numbers::of(&a_storage, a_layout)?;
        tensor_like(input_gradient(op, dy, dh, a.matrix(k))?, x)
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
