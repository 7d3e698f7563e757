//! A tensor as the rows of its last dimension, in any layout.

use super::on_metal;
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result, Storage};
use candle_metal_kernels::metal::Buffer;

/// Dimensions before the last that do not lie in order, at most.
const LEAD: usize = 4;

/// What a kernel reads: `Rows` in `prelude.metal` tells it where the rows are.
pub(crate) struct Rows<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) offset_bytes: usize,
    pub(super) layout: RowsLayout,
    /// How many there are.
    pub(crate) count: usize,
    /// Elements of one.
    pub(crate) width: usize,
}

/// `Rows` of `prelude.metal`, strides in elements.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct RowsLayout {
    stride: u64,
    /// Innermost first; those that are missing are 1.
    sizes: [u64; LEAD],
    strides: [u64; LEAD],
}

impl<'a> Rows<'a> {
    pub(crate) fn new(storage: &'a MetalStorage, layout: &Layout) -> Result<Self> {
        let dtype = storage.dtype();
        let (width, stride, lead) = match (layout.dims(), layout.stride()) {
            ([lead @ .., width], [strides @ .., stride]) => {
                (*width, *stride, merged(lead, strides))
            }
            _ => (1, 1, vec![]),
        };
        if lead.len() > LEAD {
            candle_core::bail!(
                "a Metal kernel takes {LEAD} dimensions before the last that do not lie in order, got the shape {:?} with strides {:?}",
                layout.dims(),
                layout.stride()
            );
        }
        let count = layout.shape().elem_count() / width.max(1);
        if u32::try_from(count).is_err() {
            candle_core::bail!("a Metal kernel takes 2^32 rows at most, got {count}");
        }
        let nth = |i: usize| lead.get(i).copied().unwrap_or((1, 0));
        Ok(Self {
            buffer: storage.buffer(),
            offset_bytes: layout.start_offset() * dtype.size_in_bytes(),
            layout: RowsLayout {
                stride: stride as u64,
                sizes: std::array::from_fn(|i| nth(i).0 as u64),
                strides: std::array::from_fn(|i| nth(i).1 as u64),
            },
            count,
            width,
        })
    }

    /// The rows of a tensor, from what [`candle_core::Tensor::storage_and_layout`] gives.
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_metal(storage)?, layout)
    }
}

/// Sizes and strides with those that lie in order made one, innermost first.
fn merged(dims: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut lead: Vec<(usize, usize)> = vec![];
    let inner_to_outer = dims
        .iter()
        .zip(strides)
        .rev()
        .filter(|(size, _)| **size != 1);
    for (&size, &stride) in inner_to_outer {
        match lead.last_mut() {
            Some(inner) if stride == inner.0 * inner.1 => inner.0 *= size,
            _ => lead.push((size, stride)),
        }
    }
    lead
}

#[cfg(test)]
mod tests {
    use super::merged;

    #[test]
    fn dimensions_in_order_are_one() {
        assert_eq!(merged(&[2, 3, 5], &[15, 5, 1]), [(30, 1)]);
        assert_eq!(merged(&[2, 1, 5], &[7, 99, 1]), [(5, 1), (2, 7)]);
        assert_eq!(merged(&[3, 4], &[0, 0]), [(12, 0)]);
    }
}
