//! A row at a time: what is read or written twice is in the cache the second time.

use super::Softmax;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::row_kernel::{RowKernel, rows};
use crate::host::rows::{Input, Unwritten};
use crate::host::tensor;
use candle_core::Tensor;
use metal_candle_cpu::math::{dot_f32s, exp_f32s, max_f32s, scale_f32s, sum_f32s};
use metal_candle_cpu::simd::{Cache, prefetch};
use metal_candle_cpu::vector::map;
use pulp::Simd;

pub(super) struct Cpu;

impl Function<Softmax, 1> for Cpu {
    type Saved = ();

    fn forward(_: &Softmax, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        let (storage, layout) = x.storage_and_layout();
        let inputs = [Input::of(&storage, layout)?];
        let [y] = rows(&Forward, &inputs, x.shape(), x.dtype())?;
        Ok((Value::cpu(y, x.shape()), ()))
    }

    fn backward(_: &Softmax, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace { y, dy, .. } = trace;
        let (y_storage, y_layout) = y.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let inputs = [
            Input::of(&y_storage, y_layout)?,
            Input::of(&dy_storage, dy_layout)?,
        ];
        let [dx] = rows(&Backward, &inputs, y.shape(), y.dtype())?;
        Ok([Some(tensor(dx, y.shape()))])
    }
}

struct Forward;

impl RowKernel<1, 1> for Forward {
    type Sums = ();

    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [x]: [&[f32]; 1],
        y: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        let max = simd.splat_f32s(max_f32s(simd, x));
        // The next row, where rows of float32 lie one after the other: this one keeps the units busy,
        // not the memory.
        let mut ahead = x.as_ptr().wrapping_add(x.len());
        let [y] = map(
            simd,
            [x],
            y,
            #[inline(always)]
            |[x]| {
                prefetch(ahead, Cache::Second);
                ahead = ahead.wrapping_add(S::F32_LANES);
                [exp_f32s(simd, simd.sub_f32s(x, max))]
            },
        );
        let factor = 1.0 / sum_f32s(simd, y);
        scale_f32s(simd, y, factor);
        [y]
    }
}

struct Backward;

impl RowKernel<2, 1> for Backward {
    type Sums = ();

    /// `dx = y * (dy - sum(dy * y))`.
    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [y, dy]: [&[f32]; 2],
        dx: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        let sum = simd.splat_f32s(dot_f32s(simd, y, dy));
        map(
            simd,
            [y, dy],
            dx,
            #[inline(always)]
            |[y, dy]| [simd.mul_f32s(y, simd.sub_f32s(dy, sum))],
        )
    }
}
