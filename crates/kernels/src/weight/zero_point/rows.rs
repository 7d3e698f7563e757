//! Numbers of a file as rows of the affine format.

use super::order::Order;
use super::{Layout, Parts, Sizes};
use crate::Result;
use crate::weight::affine::{Affine, GROUPS};
use crate::weight::host::Held;
use candle_core::{DType, Device, Tensor};
use metal_candle_cpu::threads::for_each_task;

/// Parts of the affine format in host memory, columns in the order of their groups.
pub(super) struct Rows {
    sizes: Sizes,
    /// Columns of all places, where there is an order, and the words.
    stored: Tensor,
    scales: Tensor,
    biases: Tensor,
}

impl Rows {
    pub(super) fn new(
        layout: Layout,
        sizes: Sizes,
        parts: &Parts,
        order: Option<&Order>,
    ) -> Result<Self> {
        let scales = match layout.of_scales(0, 1) {
            (0, _) => parts.scales.clone(),
            _ => parts.scales.t()?.contiguous()?,
        };
        Ok(Self {
            sizes,
            stored: stored(layout, sizes, &parts.words, order)?,
            biases: biases(layout, sizes, parts, &scales)?,
            scales,
        })
    }

    /// The matrix on a device, and what its words are a part of.
    pub(super) fn on(self, device: &Device) -> Result<(Affine, Tensor)> {
        let Sizes { dims, bits, group } = self.sizes;
        let stored = self.stored.to_device(device)?;
        let width = dims.1 * bits / 32;
        let count = dims.0 * width;
        let words = stored.narrow(0, stored.elem_count() - count, count)?;
        // Groups of other sizes are several with the same scale.
        let of_affine = GROUPS.into_iter().rfind(|size| group.is_multiple_of(*size));
        let of_affine = of_affine.unwrap_or(group);
        let repeated = |factors: Tensor| {
            let times = group / of_affine;
            let factors = factors.unsqueeze(2)?.repeat((1, 1, times))?;
            let factors = factors.reshape((dims.0, dims.1 / of_affine))?;
            factors.to_device(device)
        };
        let words = words.reshape((dims.0, width))?;
        let parts = [words, repeated(self.scales)?, repeated(self.biases)?];
        Ok((Affine::new(parts, bits, of_affine)?, stored))
    }
}

/// Words of rows, each a stream of bits, behind the columns of their places.
fn stored(layout: Layout, sizes: Sizes, words: &Tensor, order: Option<&Order>) -> Result<Tensor> {
    let Sizes { dims, bits, .. } = sizes;
    let (n, width) = (dims.0, dims.1 * bits / 32);
    let held = words.flatten_all()?.contiguous()?;
    let held = Held::new(&held)?;
    let numbers = layout.numbers(held.words(), sizes);
    let mut stored = order.map_or(vec![], |order| order.columns.clone());
    let rows = stored.len();
    stored.resize(rows + n * width, 0);
    let tasks = stored[rows..].chunks_mut(width.max(1));
    let tasks = tasks.enumerate().collect();
    for_each_task(tasks, dims.0 * dims.1, |_: &mut (), (row, words)| {
        let words: &mut [u32] = words;
        for place in 0..dims.1 {
            let column = order.map_or(place, |order| order.columns[place] as usize);
            put(words, place * bits, numbers.at(row, column));
        }
    });
    let count = stored.len();
    Ok(Tensor::from_vec(stored, count, &Device::Cpu)?)
}

/// Adds a number from a bit of a stream on, which has zeros there.
#[inline(always)]
fn put(words: &mut [u32], bit: usize, q: u32) {
    let q = u64::from(q) << (bit % 32);
    words[bit / 32] |= q as u32;
    if let Some(next) = words.get_mut(bit / 32 + 1) {
        *next |= (q >> 32) as u32;
    }
}

/// `-zero * scale`, `(N, K / group)` in float32.
fn biases(layout: Layout, sizes: Sizes, parts: &Parts, scales: &Tensor) -> Result<Tensor> {
    let Sizes { dims, bits, group } = sizes;
    let n_groups = dims.1 / group;
    let scales = scales.to_dtype(DType::F32)?;
    let Some(zeros) = &parts.zeros else {
        let middle = f64::from(1 << (bits - 1));
        return Ok((scales * -middle)?);
    };
    let held = zeros.flatten_all()?.contiguous()?;
    let held = Held::new(&held)?;
    let zeros = layout.zeros(held.words(), sizes);
    let zero = |row, group| -(layout.zero(zeros.at(row, group), bits) as f32);
    let zeros = (0..dims.0).flat_map(|row| (0..n_groups).map(move |group| zero(row, group)));
    let zeros = Tensor::from_vec(
        zeros.collect::<Vec<f32>>(),
        (dims.0, n_groups),
        &Device::Cpu,
    )?;
    Ok((scales * zeros)?)
}
