//! One row at a time, out of place. Backward is the same rotation the other way round.

use crate::host::{Rows, on_host, stored, tensor};
use crate::threads::for_each_row;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

pub(super) struct Rope {
    /// `(T, D/2)` or `(B, T, D/2)`, constants.
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

#[derive(Clone, Copy)]
enum Turn {
    Forward,
    Back,
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.turned(x, layout, Turn::Forward)?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (storage, layout) = dy.storage_and_layout();
        let dx = self.turned(on_host(&storage)?, layout, Turn::Back)?;
        Ok(Some(tensor(dx, y.shape())))
    }
}

impl Rope {
    fn turned(&self, x: &CpuStorage, layout: &Layout, turn: Turn) -> Result<CpuStorage> {
        let (_, heads, tokens, _) = layout.shape().dims4()?;
        let (cos_storage, cos_layout) = self.cos.storage_and_layout();
        let (sin_storage, sin_layout) = self.sin.storage_and_layout();
        let cos = Rows::of(&cos_storage, cos_layout)?;
        let sin = Rows::of(&sin_storage, sin_layout)?;
        let dtype = x.dtype();
        let x = Rows::new(x, layout)?;
        // Row (b, h, t) of x turns by row t, or (b, t), of the tables.
        let table_row = |i: usize| match cos_layout.dims().len() {
            2 => i % tokens,
            _ => i / (heads * tokens) * tokens + i % tokens,
        };
        let mut y = vec![0.0; layout.shape().elem_count()];
        for_each_row(&mut y, x.width, |i, y| {
            let (cos, sin) = (cos.row(table_row(i)), sin.row(table_row(i)));
            rotate(x.row(i), cos, sin, turn, y);
        });
        stored(y, layout.shape(), dtype)
    }
}

fn rotate(x: &[f32], cos: &[f32], sin: &[f32], turn: Turn, y: &mut [f32]) {
    let sign = match turn {
        Turn::Forward => 1.0,
        Turn::Back => -1.0,
    };
    let (x_first, x_second) = x.split_at(x.len() / 2);
    let (y_first, y_second) = y.split_at_mut(x.len() / 2);
    let angles = cos.iter().zip(sin);
    let pairs = x_first.iter().zip(x_second);
    let turned = y_first.iter_mut().zip(y_second);
    for (((first, second), (x1, x2)), (cos, sin)) in turned.zip(pairs).zip(angles) {
        let sin = sign * sin;
        *first = x1 * cos - x2 * sin;
        *second = x2 * cos + x1 * sin;
    }
}
