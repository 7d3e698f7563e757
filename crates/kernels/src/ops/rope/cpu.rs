//! One row at a time, out of place. Backward is the same rotation the other way round.
#![allow(unsafe_code)]

use super::per_head;
use crate::row_kernel::{RowKernel, rows};
use crate::rows::{Input, Unwritten};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Tensor};
use metal_candle_cpu::vector::{map, written};
use pulp::Simd;

/// `x` turned by the angles of the tables, or back where `sign` is -1.
pub(super) fn turned(
    x: &CpuStorage,
    layout: &Layout,
    [cos, sin]: [&Tensor; 2],
    sign: f32,
) -> Result<CpuStorage> {
    let (cos, sin) = (per_head(cos, layout)?, per_head(sin, layout)?);
    let (cos_storage, cos_layout) = cos.storage_and_layout();
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let inputs = [
        Input::new(x, layout)?,
        Input::of(&cos_storage, cos_layout)?,
        Input::of(&sin_storage, sin_layout)?,
    ];
    let [y] = rows(&Turn { sign }, &inputs, layout.shape(), x.dtype())?;
    Ok(y)
}

/// The rotation by an angle, or back by it.
struct Turn {
    sign: f32,
}

impl RowKernel<3, 1> for Turn {
    type Block = ();

    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [x, cos, sin]: [&[f32]; 3],
        [y]: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        let sign = simd.splat_f32s(self.sign);
        let (x1, x2) = x.split_at(x.len() / 2);
        let (y1, y2) = y.split_at_mut(x.len() / 2);
        map(
            simd,
            [x1, x2, cos, sin],
            [y1, y2],
            #[inline(always)]
            |[x1, x2, cos, sin]| {
                let sin = simd.mul_f32s(sign, sin);
                let first = simd.sub_f32s(simd.mul_f32s(x1, cos), simd.mul_f32s(x2, sin));
                let second = simd.mul_add_e_f32s(x2, cos, simd.mul_f32s(x1, sin));
                [first, second]
            },
        );
        // SAFETY: both halves are written, and there is nothing else: D is even.
        [unsafe { written(y) }]
    }
}
