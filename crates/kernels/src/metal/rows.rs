//! A tensor as the rows of its last dimension, in any layout.

use super::{FOUR, on_metal};
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result, Storage};
use candle_metal_kernels::metal::Buffer;

/// Dimensions before the last that do not lie in order, at most.
const LEAD: usize = 4;

/// Rows, and elements of one, are fewer: [`division`] is exact below it.
const MOST: usize = 1 << 31;

/// Rows that a kernel reads: `Rows` in `prelude.metal` tells it where the rows are.
pub(crate) struct Rows<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) offset_bytes: usize,
    pub(super) layout: RowsLayout,
    /// How many there are.
    pub(crate) count: usize,
    /// Elements of one.
    pub(crate) width: usize,
    /// Each of them is a whole number of fours of elements that may be read at once.
    fours: bool,
}

/// `Rows` of `prelude.metal`, strides in elements.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RowsLayout {
    stride: u64,
    /// Innermost first; the sizes of those that are missing are 1.
    strides: [u64; LEAD],
    sizes: [u32; LEAD],
    factors: [u32; LEAD],
    shifts: [u32; LEAD],
}

impl RowsLayout {
    /// Sizes are below 2^31.
    fn new(stride: usize, lead: &[(usize, usize)]) -> Self {
        let nth = |i: usize| lead.get(i).copied().unwrap_or((1, 0));
        let sizes = std::array::from_fn(|i| nth(i).0 as u32);
        Self {
            stride: stride as u64,
            strides: std::array::from_fn(|i| nth(i).1 as u64),
            sizes,
            factors: sizes.map(|size| division(size).0),
            shifts: sizes.map(|size| division(size).1),
        }
    }
}

/// Factor and shift with which `n / size` is `n * factor >> shift` for all `n` below 2^31 (Granlund and Montgomery 1994,
/// <https://doi.org/10.1145/178243.178249>). `size` is 1 to 2^31.
fn division(size: u32) -> (u32, u32) {
    let size = u64::from(size.max(1));
    let shift = 31 + size.next_power_of_two().trailing_zeros();
    (((1u64 << shift) / size + 1) as u32, shift)
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
        if count.max(width) >= MOST {
            candle_core::bail!(
                "a Metal kernel takes fewer than 2^31 rows of fewer than 2^31 elements, got {count} of {width}"
            );
        }
        let starts = lead.iter().map(|(_, stride)| *stride);
        let starts = starts.chain([layout.start_offset()]);
        Ok(Self {
            buffer: storage.buffer(),
            offset_bytes: layout.start_offset() * dtype.size_in_bytes(),
            layout: RowsLayout::new(stride, &lead),
            count,
            width,
            fours: stride == 1 && starts.chain([width]).all(|at| at.is_multiple_of(FOUR)),
        })
    }

    /// Where the rows are, for a struct of constants.
    pub(crate) fn layout(&self) -> RowsLayout {
        self.layout
    }

    /// Buffer and place of the first element.
    pub(crate) fn place(&self) -> (&'a Buffer, usize) {
        (self.buffer, self.offset_bytes)
    }

    /// Name of the kernel for rows in fours, the second, where all of these are; else the first.
    pub(crate) fn choose(all: &[&Self], names: [&'static str; 2]) -> &'static str {
        names[usize::from(all.iter().all(|rows| rows.fours))]
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
    use super::{division, merged};

    #[test]
    fn dimensions_in_order_are_one() {
        assert_eq!(merged(&[2, 3, 5], &[15, 5, 1]), [(30, 1)]);
        assert_eq!(merged(&[2, 1, 5], &[7, 99, 1]), [(5, 1), (2, 7)]);
        assert_eq!(merged(&[3, 4], &[0, 0]), [(12, 0)]);
    }

    #[test]
    fn divisions_by_multiplication_are_exact() {
        let most = (1u32 << 31) - 1;
        let sizes =
            (1..=4096).chain((1..31).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        for size in sizes.chain([most - 1, most]) {
            let (factor, shift) = division(size);
            let multiples = [0, 1, 2, 3, 1000, most / size].map(|m| u64::from(m) * u64::from(size));
            let near = multiples
                .into_iter()
                .flat_map(|m| [m.saturating_sub(1), m, m + 1]);
            for n in near
                .chain([u64::from(most)])
                .filter(|n| *n <= u64::from(most))
            {
                assert_eq!(
                    (n * u64::from(factor)) >> shift,
                    n / u64::from(size),
                    "{n} / {size}"
                );
            }
        }
    }
}
