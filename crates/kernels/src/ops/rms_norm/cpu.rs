//! Each row is read from memory once, forward and backward; nothing is kept between the two.

use super::{RmsNorm, WithResidual};
use crate::Result;
use crate::graph::{Function, Gradients, Kernel, Trace, Value};
use crate::host::row_kernel::{RowKernel, first, rows, rows_in_blocks};
use crate::host::rows::{Input, Unwritten};
use crate::host::{slice_of, tensor, tensor_like};
use candle_core::Tensor;
use metal_candle_cpu::math::{add_scaled_f32s, dot_f32s};
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::{TASK_ELEMENTS, for_each_task};
use metal_candle_cpu::vector::{each, fold, map, update};
use pulp::{Simd, WithSimd};

/// The most parts that the weight's gradient is summed in, and the fewest rows of a part. Nothing
/// here is the number of threads, so that the order of the sum, and with it every bit of the
/// result, does not depend on it.
const MOST_PARTS: usize = 64;
const FEWEST_ROWS: usize = 8;

pub(super) struct Cpu;

impl Function<RmsNorm, 2> for Cpu {
    type Saved = ();

    fn forward(op: &RmsNorm, [x, weight]: [&Tensor; 2]) -> Result<(Value, ())> {
        let (x_storage, x_layout) = x.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let kernel = Forward {
            weight: &slice_of(&weight_storage, weight_layout)?,
            eps: op.eps,
        };
        let inputs = [Input::of(&x_storage, x_layout)?];
        let [y] = rows(&kernel, &inputs, x.shape(), x.dtype())?;
        Ok((Value::cpu(y, x.shape()), ()))
    }

    fn backward(op: &RmsNorm, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: [x, weight],
            dy,
            ..
        } = trace;
        gradients(op, x, weight, dy)
    }
}

impl Kernel<WithResidual, 3, 2> for Cpu {
    type Saved = ();

    fn forward(
        WithResidual(op): &WithResidual,
        [x, residual, weight]: [&Tensor; 3],
    ) -> Result<([Value; 2], ())> {
        let (x_storage, x_layout) = x.storage_and_layout();
        let (residual_storage, residual_layout) = residual.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let kernel = Forward {
            weight: &slice_of(&weight_storage, weight_layout)?,
            eps: op.eps,
        };
        let inputs = [
            Input::of(&x_storage, x_layout)?,
            Input::of(&residual_storage, residual_layout)?,
        ];
        let results = rows(&kernel, &inputs, x.shape(), x.dtype())?;
        Ok((results.map(|y| Value::cpu(y, x.shape())), ()))
    }

    fn backward(
        WithResidual(op): &WithResidual,
        (): &(),
        [_, _, weight]: &[Tensor; 3],
        [sum, _]: &[Tensor; 2],
        [dsum, dnormed]: [Option<&Tensor>; 2],
    ) -> Result<Gradients<3>> {
        let through_norm = match dnormed {
            Some(dnormed) => gradients(op, sum, weight, dnormed)?,
            None => [None, None],
        };
        WithResidual::gradients(dsum, through_norm)
    }
}

/// The gradients of `x` and, where it is tracked, of the weight.
fn gradients(op: &RmsNorm, x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<Gradients<2>> {
    let (x_storage, x_layout) = x.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let (weight_storage, weight_layout) = weight.storage_and_layout();
    let kernel = Backward {
        weight: &slice_of(&weight_storage, weight_layout)?,
        eps: op.eps,
    };
    let inputs = [
        Input::of(&x_storage, x_layout)?,
        Input::of(&dy_storage, dy_layout)?,
    ];
    let width = kernel.weight.len();
    let n_rows = x.elem_count() / width.max(1);
    let rows_of_part = n_rows.div_ceil(MOST_PARTS).max(FEWEST_ROWS);
    let n_parts = n_rows.div_ceil(rows_of_part);
    let part = if weight.track_op() { width } else { 0 };
    // One vector: an allocator that keeps large blocks may give small ones back at every call.
    let mut sums = vec![0.0; n_parts * part];
    let mut rest = &mut sums[..];
    let mut parts: Vec<_> = (0..n_parts).map(|_| first(&mut rest, part)).collect();
    let [dx] = rows_in_blocks(&kernel, &inputs, x.shape(), x.dtype(), &mut parts)?;
    let dweight = weight.track_op();
    let dweight = dweight.then(|| tensor_like(sum_of_parts(&sums, width), weight));
    Ok([Some(tensor(dx, x.shape())), dweight.transpose()?])
}

/// The sum of all parts of `width`, in their order.
fn sum_of_parts(parts: &[f32], width: usize) -> Vec<f32> {
    let mut sum = vec![0.0; width];
    let of_task = (TASK_ELEMENTS * width / parts.len().max(1)).max(1);
    let columns = sum.chunks_mut(of_task).enumerate();
    for_each_task(columns.collect(), parts.len(), |_: &mut (), task| {
        let (i, sum) = task;
        let columns = SumOfColumns {
            parts,
            width,
            first: i * of_task,
            sum,
        };
        dispatch(columns);
    });
    sum
}

/// Columns of the sum from `first` on.
struct SumOfColumns<'a> {
    parts: &'a [f32],
    width: usize,
    first: usize,
    sum: &'a mut [f32],
}

impl WithSimd for SumOfColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for part in self.parts.chunks_exact(self.width) {
            let part = &part[self.first..][..self.sum.len()];
            add_scaled_f32s(simd, self.sum, 1.0, part);
        }
    }
}

struct Forward<'a> {
    weight: &'a [f32],
    eps: f32,
}

impl RowKernel<1, 1> for Forward<'_> {
    type Sums = ();

    /// `y = x * rstd * weight`.
    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [x]: [&[f32]; 1],
        y: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        self.normalise(simd, x, y)
    }
}

impl RowKernel<2, 2> for Forward<'_> {
    type Sums = ();

    /// The sum, and its norm.
    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        x: [&[f32]; 2],
        [sum, y]: [Unwritten<'y>; 2],
        (): &mut (),
    ) -> [&'y mut [f32]; 2] {
        let [sum] = map(
            simd,
            x,
            [sum],
            #[inline(always)]
            |[x, residual]| [simd.add_f32s(x, residual)],
        );
        let [y] = self.normalise(simd, sum, [y]);
        [sum, y]
    }
}

impl Forward<'_> {
    #[inline(always)]
    fn normalise<'y, S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        y: [Unwritten<'y>; 1],
    ) -> [&'y mut [f32]; 1] {
        let rstd = rstd(dot_f32s(simd, x, x), x.len(), self.eps);
        let rstd = simd.splat_f32s(rstd);
        map(
            simd,
            [x, self.weight],
            y,
            #[inline(always)]
            |[x, weight]| [simd.mul_f32s(simd.mul_f32s(x, rstd), weight)],
        )
    }
}

struct Backward<'a> {
    weight: &'a [f32],
    eps: f32,
}

impl<'a> RowKernel<2, 1> for Backward<'a> {
    /// A part of the weight's gradient; empty where that is not wanted.
    type Sums = &'a mut [f32];

    /// `dx = rstd * (g - x * rstd^2 * mean(g * x))` with `g = dy * weight`, and
    /// `dweight += dy * x * rstd`.
    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [x, dy]: [&[f32]; 2],
        dx: [Unwritten<'y>; 1],
        dweight: &mut &'a mut [f32],
    ) -> [&'y mut [f32]; 1] {
        let sums = fold(
            simd,
            [x, dy, self.weight],
            0.0,
            #[inline(always)]
            |[squares, products], [x, dy, weight]| {
                let g = simd.mul_f32s(dy, weight);
                [
                    simd.mul_add_e_f32s(x, x, squares),
                    simd.mul_add_e_f32s(g, x, products),
                ]
            },
            #[inline(always)]
            |a, b| simd.add_f32s(a, b),
        );
        let [squares, products] = each(
            sums,
            #[inline(always)]
            |lanes| simd.reduce_sum_f32s(lanes),
        );
        let rstd = rstd(squares, x.len(), self.eps);
        let factor = simd.splat_f32s(-rstd * rstd * products / x.len() as f32);
        let rstd = simd.splat_f32s(rstd);
        if !dweight.is_empty() {
            update(
                simd,
                [dweight],
                [x, dy],
                #[inline(always)]
                |[dweight], [x, dy]| [simd.mul_add_e_f32s(simd.mul_f32s(x, rstd), dy, dweight)],
            );
        }
        map(
            simd,
            [x, dy, self.weight],
            dx,
            #[inline(always)]
            |[x, dy, weight]| {
                [simd.mul_f32s(
                    rstd,
                    simd.mul_add_e_f32s(x, factor, simd.mul_f32s(dy, weight)),
                )]
            },
        )
    }
}

/// `1 / sqrt(mean(x^2) + eps)` from the sum of the squares.
#[inline(always)]
fn rstd(squares: f32, width: usize, eps: f32) -> f32 {
    1.0 / (squares / width as f32 + eps).sqrt()
}
