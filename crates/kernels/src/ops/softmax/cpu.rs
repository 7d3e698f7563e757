//! Rows in float32, each read twice while it is in the cache.

use crate::host::{Rows, stored, tensor_like};
use crate::math;
use crate::threads::for_each_row;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

pub(super) struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Rows::new(storage, layout)?;
        let mut y = vec![0.0; layout.shape().elem_count()];
        for_each_row(&mut y, x.width, |i, y| softmax(x.row(i), y));
        let shape = layout.shape().clone();
        Ok((stored(y, &shape, storage.dtype())?, shape))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (y_storage, y_layout) = y.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let y = Rows::of(&y_storage, y_layout)?;
        let dy = Rows::of(&dy_storage, dy_layout)?;
        let mut dx = vec![0.0; x.elem_count()];
        for_each_row(&mut dx, y.width, |i, dx| {
            gradient(y.row(i), dy.row(i), dx);
        });
        tensor_like(dx, x).map(Some)
    }
}

fn softmax(x: &[f32], y: &mut [f32]) {
    let max = math::max(x);
    for (y, x) in y.iter_mut().zip(x) {
        *y = math::exp(x - max);
    }
    math::scale(y, 1.0 / math::sum(y));
}

/// `dx = y * (dy - sum(dy * y))`.
fn gradient(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    let mean = math::dot(y, dy);
    for ((dx, y), dy) in dx.iter_mut().zip(y).zip(dy) {
        *dx = y * (dy - mean);
    }
}
