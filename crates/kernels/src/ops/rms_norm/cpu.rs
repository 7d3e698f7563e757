//! Rows in float32; the reciprocal root of each is kept for backward.

use crate::host::{Rows, stored, tensor_like};
use crate::math;
use crate::threads::{for_each_row, for_each_row_of_two, for_each_task};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

/// Rows whose part of the weight's gradient is summed by one thread. Fixed, so that the order of
/// the sum, and with it every bit of the result, does not depend on the number of threads.
const BLOCK_ROWS: usize = 64;

pub(super) struct RmsNorm {
    eps: f32,
    /// One number per row, written by forward.
    rstd: OnceLock<Vec<f32>>,
}

impl RmsNorm {
    pub(super) fn new(eps: f64) -> Self {
        Self {
            eps: eps as f32,
            rstd: OnceLock::new(),
        }
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (shape, dtype) = (x_layout.shape().clone(), x.dtype());
        let (x, weight) = (Rows::new(x, x_layout)?, Rows::new(weight, weight_layout)?);
        let mut y = vec![0.0; shape.elem_count()];
        let mut rstd = vec![0.0; y.len() / x.width.max(1)];
        for_each_row_of_two((&mut y, x.width), (&mut rstd, 1), |i, y, rstd| {
            rstd[0] = normalise(x.row(i), weight.row(0), self.eps, y);
        });
        // A second run of the same operation would write the same numbers.
        let _ = self.rstd.set(rstd);
        Ok((stored(y, &shape, dtype)?, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(rstd) = self.rstd.get() else {
            candle_core::bail!("rms_norm: backward before forward");
        };
        let (x_storage, x_layout) = x.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let (weight_storage, weight_layout) = weight.storage_and_layout();
        let saved = Saved {
            x: Rows::of(&x_storage, x_layout)?,
            dy: Rows::of(&dy_storage, dy_layout)?,
            weight: Rows::of(&weight_storage, weight_layout)?,
            rstd,
        };
        let dx = x.track_op().then(|| tensor_like(saved.dx(), x));
        let dweight = weight
            .track_op()
            .then(|| tensor_like(saved.dweight(), weight));
        Ok((dx.transpose()?, dweight.transpose()?))
    }
}

/// Writes `x * rstd * weight`, returns `rstd`.
fn normalise(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) -> f32 {
    let rstd = 1.0 / (math::dot(x, x) / x.len() as f32 + eps).sqrt();
    for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
        *y = x * rstd * weight;
    }
    rstd
}

/// What the gradients are computed from.
struct Saved<'a> {
    x: Rows<'a>,
    dy: Rows<'a>,
    weight: Rows<'a>,
    rstd: &'a [f32],
}

impl Saved<'_> {
    fn dx(&self) -> Vec<f32> {
        let mut dx = vec![0.0; self.rstd.len() * self.x.width];
        for_each_row(&mut dx, self.x.width, |i, dx| self.dx_row(i, dx));
        dx
    }

    /// `dx = rstd * (g - x * rstd^2 * mean(g * x))` with `g = dy * weight`.
    fn dx_row(&self, i: usize, dx: &mut [f32]) {
        let (x, rstd) = (self.x.row(i), self.rstd[i]);
        for ((dx, dy), weight) in dx.iter_mut().zip(self.dy.row(i)).zip(self.weight.row(0)) {
            *dx = dy * weight;
        }
        let mean = math::dot(dx, x) / x.len() as f32;
        let factor = rstd * rstd * mean;
        for (dx, x) in dx.iter_mut().zip(x) {
            *dx = rstd * (*dx - x * factor);
        }
    }

    /// `sum over rows of dy * x * rstd`.
    fn dweight(&self) -> Vec<f32> {
        let blocks = self.rstd.chunks(BLOCK_ROWS).enumerate();
        let mut parts = vec![vec![0.0; self.x.width]; blocks.len()];
        let tasks = parts.iter_mut().zip(blocks).collect();
        let elements = self.rstd.len() * self.x.width;
        for_each_task(tasks, elements, |_: &mut (), (part, (block, rstd))| {
            self.add_dweight(block * BLOCK_ROWS, rstd, part);
        });
        let mut dweight = vec![0.0; self.x.width];
        for part in parts {
            math::add_scaled(&mut dweight, 1.0, &part);
        }
        dweight
    }

    fn add_dweight(&self, first: usize, rstd: &[f32], dweight: &mut [f32]) {
        for (i, rstd) in (first..).zip(rstd) {
            let row = self.dy.row(i).iter().zip(self.x.row(i));
            for (dweight, (dy, x)) in dweight.iter_mut().zip(row) {
                *dweight += dy * x * rstd;
            }
        }
    }
}
