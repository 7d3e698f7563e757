//! A tensor as it lies in its buffer.

use candle_core::{DType, Layout};

use super::{Reject, Slot};

/// View of a tensor by its candle layout, checked against the buffer that holds it.
///
/// Never empty, and never reaching outside its buffer. The stride of a dimension of length 1 is
/// kept as 0, whatever it was given as: it addresses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    dtype: DType,
    offset_bytes: usize,
    dims: Vec<usize>,
    strides: Vec<usize>,
    buffer_len_bytes: usize,
}

impl View {
    /// A view of `dims` elements, `strides` elements apart, whose first element is `offset_bytes`
    /// into a buffer of `buffer_len_bytes`.
    ///
    /// # Errors
    ///
    /// [`Reject::Malformed`] and [`Reject::OutOfBuffer`].
    pub fn new(
        dtype: DType,
        offset_bytes: usize,
        dims: &[usize],
        strides: &[usize],
        buffer_len_bytes: usize,
    ) -> Result<Self, Reject> {
        let malformed = |reason| Reject::Malformed {
            reason,
            offset_bytes,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
        };
        if dims.len() != strides.len() {
            return Err(malformed("not a stride for each dimension"));
        }
        if dims.contains(&0) {
            return Err(malformed("empty tensor"));
        }
        if !offset_bytes.is_multiple_of(dtype.size_in_bytes()) {
            return Err(malformed("offset splits an element"));
        }
        let pairs = dims.iter().zip(strides);
        let strides: Vec<usize> = pairs
            .map(|(&len, &s)| if len == 1 { 0 } else { s })
            .collect();
        let end_bytes = end_bytes(dtype, offset_bytes, dims, &strides);
        let end_bytes = end_bytes.ok_or_else(|| malformed("extent overflows"))?;
        // Buffers are at most isize::MAX long, which leaves later sums of two extents in range.
        if end_bytes > buffer_len_bytes.min(isize::MAX as usize) {
            return Err(Reject::OutOfBuffer {
                offset_bytes,
                end_bytes,
                buffer_len_bytes,
            });
        }
        Ok(Self {
            dtype,
            offset_bytes,
            dims: dims.to_vec(),
            strides,
            buffer_len_bytes,
        })
    }

    /// `layout` over elements of `dtype` in a buffer of `buffer_len_bytes`.
    ///
    /// # Errors
    ///
    /// As [`View::new`].
    pub fn of(dtype: DType, layout: &Layout, buffer_len_bytes: usize) -> Result<Self, Reject> {
        let offset_bytes = layout.start_offset() * dtype.size_in_bytes();
        let (dims, strides) = (layout.dims(), layout.stride());
        Self::new(dtype, offset_bytes, dims, strides, buffer_len_bytes)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the first element is, from the start of the buffer.
    pub fn offset_bytes(&self) -> usize {
        self.offset_bytes
    }

    /// Lengths, slowest dimension first.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Elements between neighbours in each dimension; 0 where the length is 1 or a single element
    /// stands for all.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Bytes in the whole buffer.
    pub fn buffer_len_bytes(&self) -> usize {
        self.buffer_len_bytes
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Dims and strides of the last two dimensions; there are at least two.
    pub(crate) fn last_two(&self) -> [[usize; 2]; 2] {
        let first = self.rank() - 2;
        [&self.dims, &self.strides].map(|values| [values[first], values[first + 1]])
    }

    /// Rejects a view whose dims are not `expected`.
    pub(crate) fn check_dims(&self, slot: Slot, expected: &[usize]) -> Result<(), Reject> {
        if self.dims == expected {
            return Ok(());
        }
        let (expected, got) = (expected.to_vec(), self.dims.clone());
        Err(Reject::Shape {
            slot,
            expected,
            got,
        })
    }

    /// Rejects a view in which two indices share an element: it cannot be a result.
    pub(crate) fn check_writable(&self) -> Result<(), Reject> {
        if self.is_injective() {
            return Ok(());
        }
        let (dims, strides) = (self.dims.clone(), self.strides.clone());
        Err(Reject::ResultOverlaps { dims, strides })
    }

    /// Sufficient rather than exact: each stride has to clear all the finer ones together, which
    /// every permutation and slice of a contiguous tensor does.
    fn is_injective(&self) -> bool {
        let pairs = self.strides.iter().copied().zip(self.dims.iter().copied());
        let mut axes: Vec<(usize, usize)> = pairs.collect();
        axes.retain(|&(_, len)| len > 1);
        axes.sort_unstable();
        let mut reach = 0;
        axes.into_iter().all(|(stride, len)| {
            let clear = stride > reach;
            reach += stride * (len - 1);
            clear
        })
    }
}

/// One past the last byte addressed; `None` if that, or the number of elements, is not a `usize`.
fn end_bytes(
    dtype: DType,
    offset_bytes: usize,
    dims: &[usize],
    strides: &[usize],
) -> Option<usize> {
    dims.iter()
        .try_fold(1usize, |count, &len| count.checked_mul(len))?;
    let last = dims
        .iter()
        .zip(strides)
        .try_fold(0usize, |last, (&len, &stride)| {
            last.checked_add(stride.checked_mul(len - 1)?)
        })?;
    last.checked_add(1)?
        .checked_mul(dtype.size_in_bytes())?
        .checked_add(offset_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const F32: DType = DType::F32;

    #[test]
    fn the_last_element_may_end_with_the_buffer_but_not_after() {
        // Last element: 1 * 4 + 2 * 1 = 6, bytes 8 + 24 to 8 + 28.
        let view = View::new(F32, 8, &[2, 3], &[4, 1], 36);
        assert!(view.is_ok());
        let reject = Reject::OutOfBuffer {
            offset_bytes: 8,
            end_bytes: 36,
            buffer_len_bytes: 35,
        };
        assert_eq!(View::new(F32, 8, &[2, 3], &[4, 1], 35), Err(reject));
    }

    #[test]
    fn strides_of_single_elements_are_dropped() {
        let view = View::new(F32, 0, &[1, 3], &[1_000_000, 1], 12).expect("in bounds");
        assert_eq!(view.strides(), [0, 1]);
    }

    #[test]
    fn malformed_views_are_rejected() {
        let huge = usize::MAX / 2;
        let cases: [(&str, usize, &[usize], &[usize]); 6] = [
            ("empty tensor", 0, &[2, 0], &[1, 1]),
            ("offset splits an element", 6, &[1], &[1]),
            ("not a stride for each dimension", 0, &[1, 1], &[1]),
            ("extent overflows", 0, &[3, 1], &[huge, 1]),
            ("extent overflows", 0, &[huge, 3], &[0, 0]),
            ("extent overflows", 0, &[2, 2], &[huge, huge]),
        ];
        for (reason, offset_bytes, dims, strides) in cases {
            let reject = Reject::Malformed {
                reason,
                offset_bytes,
                dims: dims.to_vec(),
                strides: strides.to_vec(),
            };
            let view = View::new(F32, offset_bytes, dims, strides, usize::MAX);
            assert_eq!(view, Err(reject));
        }
    }

    #[test]
    fn a_layout_is_taken_as_it_is() {
        let layout = Layout::contiguous((4, 6));
        let layout = layout.narrow(1, 2, 3).and_then(|l| l.transpose(0, 1));
        let view = View::of(F32, &layout.expect("inside"), 96).expect("in bounds");
        assert_eq!((view.dims(), view.strides()), (&[3, 4][..], &[1, 6][..]));
        assert_eq!((view.offset_bytes(), view.buffer_len_bytes()), (8, 96));
    }

    #[test]
    fn injective_means_that_no_element_is_shared() {
        let injective = |dims: &[usize], strides: &[usize]| {
            View::new(F32, 0, dims, strides, 1 << 20)
                .expect("in bounds")
                .is_injective()
        };
        assert!(injective(&[2, 3, 4], &[12, 4, 1]));
        assert!(injective(&[2, 4, 3], &[12, 1, 4]));
        assert!(injective(&[2, 3, 4], &[13, 4, 1]));
        assert!(!injective(&[2, 3, 4], &[11, 4, 1]));
        assert!(!injective(&[2, 3, 4], &[0, 4, 1]));
        assert!(!injective(&[3, 3], &[1, 1]));
    }
}
