//! Shapes of a product: transposes, broadcasts and their layouts.

use candle_core::{Layout, Shape};

use super::{Error, Result};
use crate::plan::Slot;

/// The layouts of both factors, broadcast to one batch, and what comes of them.
#[derive(Debug)]
pub(crate) struct Layouts {
    /// `(.., M, K)`.
    pub left: Layout,
    /// `(.., K, N)`.
    pub right: Layout,
    /// `(.., M, N)`.
    pub shape: Shape,
    /// K.
    pub inner: usize,
}

impl Layouts {
    /// `left` and `right`, transposed in their last two dimensions where `transposed` says so.
    pub fn new(left: &Layout, right: &Layout, transposed: [bool; 2]) -> Result<Self> {
        let left = matrix(Slot::Left, left, transposed[0])?;
        let right = matrix(Slot::Right, right, transposed[1])?;
        let mismatch = || Error::Dimensions {
            left: left.shape().clone(),
            right: right.shape().clone(),
        };
        let (left_batch, [m, k]) = split(left.dims());
        let (right_batch, [inner, n]) = split(right.dims());
        let batch = broadcast(left_batch, right_batch).ok_or_else(mismatch)?;
        if inner != k {
            return Err(mismatch());
        }
        let with_batch = |matrix: [usize; 2]| [&batch[..], &matrix].concat();
        Ok(Self {
            left: left.broadcast_as(with_batch([m, k]))?,
            right: right.broadcast_as(with_batch([k, n]))?,
            shape: with_batch([m, n]).into(),
            inner,
        })
    }

    /// `addend`, broadcast to the result.
    pub fn addend(&self, addend: &Layout) -> Result<Layout> {
        let mismatch = |_| Error::Addend {
            addend: addend.shape().clone(),
            result: self.shape.clone(),
        };
        addend.broadcast_as(self.shape.clone()).map_err(mismatch)
    }
}

fn matrix(operand: Slot, layout: &Layout, transposed: bool) -> Result<Layout> {
    let rank = layout.dims().len();
    if rank < 2 {
        return Err(Error::Rank {
            operand,
            shape: layout.shape().clone(),
            min: 2,
        });
    }
    Ok(if transposed {
        layout.transpose(rank - 2, rank - 1)?
    } else {
        layout.clone()
    })
}

/// The dimensions in front, and the last two.
fn split(dims: &[usize]) -> (&[usize], [usize; 2]) {
    let (batch, matrix) = dims.split_at(dims.len() - 2);
    (batch, [matrix[0], matrix[1]])
}

/// The batch that both stretch to: a dimension of 1, or one that is missing in front, takes any
/// length.
fn broadcast(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let len = |dims: &[usize], dim: usize| {
        let missing = rank - dims.len();
        if dim < missing {
            1
        } else {
            dims[dim - missing]
        }
    };
    let dims = (0..rank).map(|dim| match (len(left, dim), len(right, dim)) {
        (left, right) if left == right => Some(left),
        (1, len) | (len, 1) => Some(len),
        _ => None,
    });
    dims.collect()
}
