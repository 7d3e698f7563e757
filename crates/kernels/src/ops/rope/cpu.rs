//! One row at a time, out of place. Backward is the same rotation the other way round.
#![allow(unsafe_code)]

use crate::host::{on_host, tensor};
use crate::row_kernel::{RowKernel, rows};
use crate::rows::{Input, Unwritten};
use crate::vector::{map, written};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::Simd;

pub(super) struct Rope {
    /// `(T, D/2)` or `(B, T, D/2)`, constants.
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.turned(x, layout, Turn { sign: 1.0 })?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (storage, layout) = dy.storage_and_layout();
        let dx = self.turned(on_host(&storage)?, layout, Turn { sign: -1.0 })?;
        Ok(Some(tensor(dx, y.shape())))
    }
}

impl Rope {
    fn turned(&self, x: &CpuStorage, layout: &Layout, turn: Turn) -> Result<CpuStorage> {
        let (cos, sin) = (per_head(&self.cos, layout)?, per_head(&self.sin, layout)?);
        let (cos_storage, cos_layout) = cos.storage_and_layout();
        let (sin_storage, sin_layout) = sin.storage_and_layout();
        let inputs = [
            Input::new(x, layout)?,
            Input::of(&cos_storage, cos_layout)?,
            Input::of(&sin_storage, sin_layout)?,
        ];
        let [y] = rows(&turn, &inputs, layout.shape(), x.dtype())?;
        Ok(y)
    }
}

/// (T, D/2) or (B, T, D/2) -> (B, H, T, D/2), a view with a row for every row of `x`.
fn per_head(table: &Tensor, x: &Layout) -> Result<Tensor> {
    let (b, h, t, d) = x.shape().dims4()?;
    let table = table.unsqueeze(table.rank() - 2)?;
    table.broadcast_as((b, h, t, d / 2))
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
