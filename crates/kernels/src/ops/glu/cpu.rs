//! One pass over the elements, forward and backward.

use super::{Activation, Glu};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::row_kernel::{RowKernel, rows};
use crate::host::rows::{Input, Unwritten};
use crate::host::tensor;
use candle_core::{DType, Shape, Tensor};
use metal_candle_cpu::math::sigmoid_f32s;
use metal_candle_cpu::vector::map_into;
use pulp::Simd;
use std::marker::PhantomData;

/// More than the second cache of today's processors.
const CACHE_BYTES: usize = 4 << 20;

pub(super) struct Cpu;

impl Function<Glu, 2> for Cpu {
    type Saved = ();

    fn forward(op: &Glu, inputs: [&Tensor; 2]) -> Result<(Value, ())> {
        let y = match op.0 {
            Activation::Silu => forward::<Silu>(inputs),
            Activation::GeluTanh => forward::<GeluTanh>(inputs),
        };
        Ok((y?, ()))
    }

    fn backward(op: &Glu, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace { inputs, dy, .. } = trace;
        let gradients = match op.0 {
            Activation::Silu => backward::<Silu>(inputs, dy),
            Activation::GeluTanh => backward::<GeluTanh>(inputs, dy),
        };
        Ok(gradients?.map(Some))
    }
}

fn forward<E: Exponent>([gate, up]: [&Tensor; 2]) -> Result<Value> {
    let (gate_storage, gate_layout) = gate.storage_and_layout();
    let (up_storage, up_layout) = up.storage_and_layout();
    let inputs = [
        Input::of(&gate_storage, gate_layout)?,
        Input::of(&up_storage, up_layout)?,
    ];
    let kernel = Forward::<E> {
        streams: streams(gate.shape(), gate.dtype()),
        exponent: PhantomData,
    };
    let [y] = rows(&kernel, &inputs, gate.shape(), gate.dtype())?;
    Ok(Value::cpu(y, gate.shape()))
}

/// From one sigmoid: leaving one gradient out would save only its memory.
fn backward<E: Exponent>([gate, up]: &[Tensor; 2], dy: &Tensor) -> Result<[Tensor; 2]> {
    let (gate_storage, gate_layout) = gate.storage_and_layout();
    let (up_storage, up_layout) = up.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let inputs = [
        Input::of(&gate_storage, gate_layout)?,
        Input::of(&up_storage, up_layout)?,
        Input::of(&dy_storage, dy_layout)?,
    ];
    let kernel = Backward::<E> {
        streams: streams(gate.shape(), gate.dtype()),
        exponent: PhantomData,
    };
    let gradients = rows(&kernel, &inputs, gate.shape(), gate.dtype())?;
    Ok(gradients.map(|gradient| tensor(gradient, gate.shape())))
}

/// Whether results go past the caches: when they are larger than those of a core, and not first
/// kept as float32 to be rounded.
fn streams(shape: &Shape, dtype: DType) -> bool {
    dtype == DType::F32 && shape.elem_count() * dtype.size_in_bytes() >= CACHE_BYTES
}

/// `w` of an activation `z * sigmoid(w(z))`.
trait Exponent: Sync {
    fn of<S: Simd>(simd: S, z: S::f32s) -> S::f32s;

    /// The derivative.
    fn slope<S: Simd>(simd: S, z: S::f32s) -> S::f32s;
}

struct Silu;

impl Exponent for Silu {
    #[inline(always)]
    fn of<S: Simd>(_: S, z: S::f32s) -> S::f32s {
        z
    }

    #[inline(always)]
    fn slope<S: Simd>(simd: S, _: S::f32s) -> S::f32s {
        simd.splat_f32s(1.0)
    }
}

/// `w = 2 sqrt(2 / pi) (z + 0.044715 z^3)`, since `(1 + tanh(u)) / 2` is the sigmoid of `2u`.
struct GeluTanh;

impl GeluTanh {
    /// `2 sqrt(2 / pi)`.
    const LINEAR: f32 = 1.595_769;
    const CUBIC: f32 = 0.044_715 * Self::LINEAR;
}

impl Exponent for GeluTanh {
    #[inline(always)]
    fn of<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
        let linear = simd.splat_f32s(Self::LINEAR);
        let cubic = simd.splat_f32s(Self::CUBIC);
        simd.mul_f32s(z, simd.mul_add_e_f32s(simd.mul_f32s(z, z), cubic, linear))
    }

    #[inline(always)]
    fn slope<S: Simd>(simd: S, z: S::f32s) -> S::f32s {
        let linear = simd.splat_f32s(Self::LINEAR);
        let cubic = simd.splat_f32s(3.0 * Self::CUBIC);
        simd.mul_add_e_f32s(simd.mul_f32s(z, z), cubic, linear)
    }
}

struct Forward<E> {
    streams: bool,
    exponent: PhantomData<E>,
}

impl<E: Exponent> RowKernel<2, 1> for Forward<E> {
    type Sums = ();

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
                let activated = simd.mul_f32s(z, sigmoid_f32s(simd, E::of(simd, z)));
                [simd.mul_f32s(activated, up)]
            },
        )
    }
}

struct Backward<E> {
    streams: bool,
    exponent: PhantomData<E>,
}

impl<E: Exponent> RowKernel<3, 2> for Backward<E> {
    type Sums = ();

    /// `dgate = dy * up * s * (1 + z * w'(z) * (1 - s))` and `dup = dy * z * s`.
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
                let s = sigmoid_f32s(simd, E::of(simd, z));
                let ds = simd.mul_f32s(dy, s);
                let w_slope = simd.mul_f32s(E::slope(simd, z), simd.sub_f32s(one, s));
                let slope = simd.mul_add_e_f32s(z, w_slope, one);
                let dgate = simd.mul_f32s(simd.mul_f32s(ds, up), slope);
                [dgate, simd.mul_f32s(ds, z)]
            },
        )
    }
}
