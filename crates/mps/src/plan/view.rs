//! A tensor as it lies in its buffer.

use super::{DataType, Reject};

/// View of a tensor by its candle layout, checked against the buffer that holds it.
///
/// Never empty, and never reaching outside its buffer. The stride of a dimension of length 1 is
/// kept as 0, whatever it was given as: it addresses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    dtype: DataType,
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
    /// [`Reject::StrideCount`], [`Reject::Empty`], [`Reject::Unaligned`], [`Reject::Overflow`] and
    /// [`Reject::OutOfBuffer`].
    pub fn new(
        dtype: DataType,
        offset_bytes: usize,
        dims: &[usize],
        strides: &[usize],
        buffer_len_bytes: usize,
    ) -> Result<Self, Reject> {
        if dims.len() != strides.len() {
            return Err(Reject::StrideCount {
                dims: dims.to_vec(),
                strides: strides.to_vec(),
            });
        }
        if dims.contains(&0) {
            return Err(Reject::Empty {
                dims: dims.to_vec(),
            });
        }
        let size_in_bytes = dtype.size_in_bytes();
        if !offset_bytes.is_multiple_of(size_in_bytes) {
            return Err(Reject::Unaligned {
                offset_bytes,
                size_in_bytes,
            });
        }
        let strides = dims
            .iter()
            .zip(strides)
            .map(|(&len, &s)| if len == 1 { 0 } else { s });
        let strides: Vec<usize> = strides.collect();
        let overflow = || Reject::Overflow {
            dims: dims.to_vec(),
            strides: strides.clone(),
        };
        let end_bytes = end_bytes(dtype, offset_bytes, dims, &strides).ok_or_else(overflow)?;
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

    /// The element type.
    pub fn dtype(&self) -> DataType {
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

    /// Rejects a view in which two indices share an element: it cannot be a result.
    pub(crate) fn check_writable(&self) -> Result<(), Reject> {
        let (dims, strides) = (self.dims.clone(), self.strides.clone());
        if self.is_injective() {
            Ok(())
        } else {
            Err(Reject::ResultOverlaps { dims, strides })
        }
    }

    /// Sufficient rather than exact: each stride has to clear all the finer ones together, which
    /// every permutation and slice of a contiguous tensor does.
    fn is_injective(&self) -> bool {
        let mut axes: Vec<(usize, usize)> = self
            .strides
            .iter()
            .copied()
            .zip(self.dims.iter().copied())
            .collect();
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
    dtype: DataType,
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

    const F32: DataType = DataType::Float32;

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
        let empty = Reject::Empty { dims: vec![2, 0] };
        assert_eq!(View::new(F32, 0, &[2, 0], &[1, 1], 64), Err(empty));
        let unaligned = Reject::Unaligned {
            offset_bytes: 6,
            size_in_bytes: 4,
        };
        assert_eq!(View::new(F32, 6, &[1], &[1], 64), Err(unaligned));
        let count = Reject::StrideCount {
            dims: vec![1, 1],
            strides: vec![1],
        };
        assert_eq!(View::new(F32, 0, &[1, 1], &[1], 64), Err(count));
    }

    #[test]
    fn overflow_is_not_in_bounds() {
        let huge = usize::MAX / 2;
        for (dims, strides) in [
            ([3, 1], [huge, 1]),
            ([huge, 3], [0, 0]),
            ([2, 2], [huge, huge]),
        ] {
            let view = View::new(F32, 0, &dims, &strides, usize::MAX);
            assert!(
                matches!(view, Err(Reject::Overflow { .. })),
                "{dims:?} {strides:?}: {view:?}"
            );
        }
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
