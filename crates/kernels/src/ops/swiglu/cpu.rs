//! One pass over the elements, forward and backward.

use crate::host::tensor;
use crate::row_kernel::{RowKernel, rows};
use crate::rows::{Input, Unwritten};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result, Shape, Tensor};
use metal_candle_cpu::math::sigmoid_f32s;
use metal_candle_cpu::vector::map_into;
use pulp::Simd;

/// More than the second cache of today's processors.
const CACHE_BYTES: usize = 4 << 20;

pub(super) fn forward(
    (gate, gate_layout): (&CpuStorage, &Layout),
    (up, up_layout): (&CpuStorage, &Layout),
) -> Result<CpuStorage> {
    let inputs = [Input::new(gate, gate_layout)?, Input::new(up, up_layout)?];
    let streams = streams(gate_layout.shape(), gate.dtype());
    let kernel = Forward { streams };
    let [y] = rows(&kernel, &inputs, gate_layout.shape(), gate.dtype())?;
    Ok(y)
}

/// The gradients of both inputs, from one sigmoid: leaving one out would save only its memory.
pub(super) fn backward(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<[Tensor; 2]> {
    let (gate_storage, gate_layout) = gate.storage_and_layout();
    let (up_storage, up_layout) = up.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let inputs = [
        Input::of(&gate_storage, gate_layout)?,
        Input::of(&up_storage, up_layout)?,
        Input::of(&dy_storage, dy_layout)?,
    ];
    let streams = streams(gate.shape(), gate.dtype());
    let kernel = Backward { streams };
    let gradients = rows(&kernel, &inputs, gate.shape(), gate.dtype())?;
    Ok(gradients.map(|gradient| tensor(gradient, gate.shape())))
}

/// Whether results go past the caches: when they are larger than those of a core, and not first
/// kept as float32 to be rounded.
fn streams(shape: &Shape, dtype: DType) -> bool {
    dtype == DType::F32 && shape.elem_count() * dtype.size_in_bytes() >= CACHE_BYTES
}

struct Forward {
    streams: bool,
}

impl RowKernel<2, 1> for Forward {
    type Block = ();

    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        x: [&[f32]; 2],
        y: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        map_into(
            simd,
            self.streams,
            x,
            y,
            #[inline(always)]
            |[z, up]| {
                let silu = simd.mul_f32s(z, sigmoid_f32s(simd, z));
                [simd.mul_f32s(silu, up)]
            },
        )
    }
}

struct Backward {
    streams: bool,
}

impl RowKernel<3, 2> for Backward {
    type Block = ();

    /// `dgate = dy * up * s * (1 + z * (1 - s))` and `dup = dy * z * s`.
    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        x: [&[f32]; 3],
        dx: [Unwritten<'y>; 2],
        (): &mut (),
    ) -> [&'y mut [f32]; 2] {
        let one = simd.splat_f32s(1.0);
        map_into(
            simd,
            self.streams,
            x,
            dx,
            #[inline(always)]
            |[z, up, dy]| {
                let s = sigmoid_f32s(simd, z);
                let ds = simd.mul_f32s(dy, s);
                let slope = simd.mul_add_e_f32s(z, simd.sub_f32s(one, s), one);
                let dgate = simd.mul_f32s(simd.mul_f32s(ds, up), slope);
                [dgate, simd.mul_f32s(ds, z)]
            },
        )
    }
}
