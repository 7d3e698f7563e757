//! One pass over the elements, forward and backward.

use crate::host::{Rows, stored, tensor_like};
use crate::math::sigmoid;
use crate::threads::{for_each_row, for_each_row_of_two};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

pub(super) struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = gate_layout.shape().clone();
        let dtype = gate.dtype();
        let (gate, up) = (Rows::new(gate, gate_layout)?, Rows::new(up, up_layout)?);
        let mut y = vec![0.0; shape.elem_count()];
        for_each_row(&mut y, gate.width, |i, y| {
            for ((y, z), up) in y.iter_mut().zip(gate.row(i)).zip(up.row(i)) {
                *y = z * sigmoid(*z) * up;
            }
        });
        Ok((stored(y, &shape, dtype)?, shape))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dgate, dup) = gradients(gate, up, dy)?;
        let tracked = |values, like: &Tensor| {
            let tracked = like.track_op().then(|| tensor_like(values, like));
            tracked.transpose()
        };
        Ok((tracked(dgate, gate)?, tracked(dup, up)?))
    }
}

/// Both gradients from one sigmoid: leaving one out would save only its memory.
fn gradients(gate: &Tensor, up: &Tensor, dy: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
    let (gate_storage, gate_layout) = gate.storage_and_layout();
    let (up_storage, up_layout) = up.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let (dgate, dup) = (vec![0.0; gate.elem_count()], vec![0.0; gate.elem_count()]);
    let gate = Rows::of(&gate_storage, gate_layout)?;
    let up = Rows::of(&up_storage, up_layout)?;
    let dy = Rows::of(&dy_storage, dy_layout)?;
    let width = gate.width;
    let (mut dgate, mut dup) = (dgate, dup);
    for_each_row_of_two((&mut dgate, width), (&mut dup, width), |i, dgate, dup| {
        let inputs = gate.row(i).iter().zip(up.row(i)).zip(dy.row(i));
        for ((dgate, dup), ((z, up), dy)) in dgate.iter_mut().zip(dup).zip(inputs) {
            let s = sigmoid(*z);
            *dup = dy * z * s;
            *dgate = dy * up * s * (1.0 + z * (1.0 - s));
        }
    });
    Ok((dgate, dup))
}
