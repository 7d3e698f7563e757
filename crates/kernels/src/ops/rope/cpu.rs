//! One row at a time, out of place. Backward is the same rotation the other way round.
#![allow(unsafe_code)]

use super::{Rope, RopePairs, per_head};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::row_kernel::{RowKernel, rows};
use crate::host::rows::{Input, Unwritten};
use candle_core::Tensor;
use metal_candle_cpu::vector::{map, written};
use pulp::Simd;
use std::marker::PhantomData;

pub(super) struct Cpu;

impl Function<Rope, 1> for Cpu {
    type Saved = ();

    fn forward(op: &Rope, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        Ok((rotated(op, x, 1.0)?, ()))
    }

    fn backward(op: &Rope, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace { dy, .. } = trace;
        Ok([Some(rotated(op, dy, -1.0)?.into_tensor())])
    }
}

/// `x` rotated by the angles of the tables, or back where `sign` is -1.
fn rotated(rope: &Rope, x: &Tensor, sign: f32) -> Result<Value> {
    let (cos, sin) = (per_head(&rope.cos, x)?, per_head(&rope.sin, x)?);
    let (x_storage, x_layout) = x.storage_and_layout();
    let (cos_storage, cos_layout) = cos.storage_and_layout();
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let inputs = [
        Input::of(&x_storage, x_layout)?,
        Input::of(&cos_storage, cos_layout)?,
        Input::of(&sin_storage, sin_layout)?,
    ];
    let (shape, dtype) = (x.shape(), x.dtype());
    let [y] = match rope.pairs {
        RopePairs::Halves => rows(&Turn::<Halves>::by(sign), &inputs, shape, dtype)?,
        RopePairs::Interleaved => rows(&Turn::<Interleaved>::by(sign), &inputs, shape, dtype)?,
    };
    Ok(Value::cpu(y, shape))
}

/// A way to rotate the pairs of a row.
trait Pairs: Sync {
    /// Writes all of `y`; `x` has two elements for every angle.
    fn rotate<S: Simd>(simd: S, x: &[f32], angles: [&[f32]; 2], sign: f32, y: Unwritten<'_>);
}

struct Halves;

impl Pairs for Halves {
    #[inline(always)]
    fn rotate<S: Simd>(simd: S, x: &[f32], [cos, sin]: [&[f32]; 2], sign: f32, y: Unwritten<'_>) {
        let sign = simd.splat_f32s(sign);
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
    }
}

struct Interleaved;

impl Pairs for Interleaved {
    #[inline(always)]
    fn rotate<S: Simd>(_: S, x: &[f32], [cos, sin]: [&[f32]; 2], sign: f32, y: Unwritten<'_>) {
        let (x, y) = (x.as_chunks().0, y.as_chunks_mut::<2>().0);
        assert!(x.len() == cos.len() && x.len() == sin.len() && x.len() == y.len());
        for (([x1, x2], y), (cos, sin)) in x.iter().zip(y).zip(cos.iter().zip(sin)) {
            let sin = sign * sin;
            y[0].write(x1 * cos - x2 * sin);
            y[1].write(x2 * cos + x1 * sin);
        }
    }
}

/// The rotation by an angle, or back by it.
struct Turn<P> {
    sign: f32,
    pairs: PhantomData<P>,
}

impl<P> Turn<P> {
    fn by(sign: f32) -> Self {
        Self {
            sign,
            pairs: PhantomData,
        }
    }
}

impl<P: Pairs> RowKernel<3, 1> for Turn<P> {
    type Sums = ();

    #[inline(always)]
    fn row<'y, S: Simd>(
        &self,
        simd: S,
        [x, cos, sin]: [&[f32]; 3],
        [y]: [Unwritten<'y>; 1],
        (): &mut (),
    ) -> [&'y mut [f32]; 1] {
        let (x, rest) = x.split_at(2 * cos.len());
        let (y_rotated, y_rest) = y.split_at_mut(x.len());
        P::rotate(simd, x, [cos, sin], self.sign, y_rotated);
        map(
            simd,
            [rest],
            [y_rest],
            #[inline(always)]
            |x| x,
        );
        // SAFETY: both parts are written.
        [unsafe { written(y) }]
    }
}
