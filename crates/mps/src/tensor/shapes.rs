//! Shapes of a product: transposes and broadcasts.

use candle_core::{Layout, Shape};

use super::{Error, Result};
use crate::plan::Slot;

/// `left` as `(.., M, K)`, `right` as `(.., K, N)`, broadcast to one batch, and the shape
/// `(.., M, N)` of their product; factors are transposed in their last two dimensions where
/// `transposed` says so.
pub(crate) fn broadcast(
    [left, right]: [&Layout; 2],
    transposed: [bool; 2],
) -> Result<([Layout; 2], Shape)> {
    let left = matrix(Slot::Left, left, transposed[0])?;
    let right = matrix(Slot::Right, right, transposed[1])?;
    let mismatch = || Error::Dimensions {
        left: left.shape().clone(),
        right: right.shape().clone(),
    };
    let (left_batch, [m, k]) = split(left.dims());
    let (right_batch, [inner, n]) = split(right.dims());
    let batch = common(left_batch, right_batch).ok_or_else(mismatch)?;
    if inner != k {
        return Err(mismatch());
    }
    let with_batch = |matrix: [usize; 2]| [&batch[..], &matrix].concat();
    let left = left.broadcast_as(with_batch([m, k]))?;
    let right = right.broadcast_as(with_batch([k, n]))?;
    Ok(([left, right], with_batch([m, n]).into()))
}

/// `addend`, broadcast to a result of `shape`.
pub(crate) fn broadcast_addend(addend: &Layout, shape: &Shape) -> Result<Layout> {
    let mismatch = |_| Error::Addend {
        addend: addend.shape().clone(),
        result: shape.clone(),
    };
    addend.broadcast_as(shape.clone()).map_err(mismatch)
}

fn matrix(operand: Slot, layout: &Layout, transposed: bool) -> Result<Layout> {
    let rank = layout.dims().len();
    if rank < 2 {
        let shape = layout.shape().clone();
        return Err(Error::Rank { operand, shape });
    }
    Ok(match transposed {
        true => layout.transpose(rank - 2, rank - 1)?,
        false => layout.clone(),
    })
}

/// The dimensions in front, and the last two.
fn split(dims: &[usize]) -> (&[usize], [usize; 2]) {
    let (batch, matrix) = dims.split_at(dims.len() - 2);
    (batch, [matrix[0], matrix[1]])
}

/// The batch that both stretch to: a dimension of 1, or one that is missing in front, takes any
/// length.
fn common(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let rank = left.len().max(right.len());
    let padded = |dims: &[usize]| [&vec![1; rank - dims.len()], dims].concat();
    let pairs = padded(left).into_iter().zip(padded(right));
    let common = pairs.map(|pair| match pair {
        (left, right) if left == right => Some(left),
        (1, len) | (len, 1) => Some(len),
        _ => None,
    });
    common.collect()
}
