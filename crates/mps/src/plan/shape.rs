//! Shapes of the operands of a product.

use super::limits::{self, MIN_PRODUCT_RANK};
use super::{Reject, Slot, View};

/// M, N and K of `left` times `right`, if the dims of the three operands go together.
pub(crate) fn check(left: &View, right: &View, result: &View) -> Result<[usize; 3], Reject> {
    limits::check_rank(Slot::Left, left.rank(), MIN_PRODUCT_RANK)?;
    limits::check_rank(Slot::Right, right.rank(), MIN_PRODUCT_RANK)?;
    let (batch, matrix) = left.dims().split_at(left.rank() - 2);
    let (m, k) = (matrix[0], matrix[1]);
    let n = right.dims()[right.rank() - 1];
    check_dims(Slot::Right, right, &[batch, &[k, n]].concat())?;
    check_dims(Slot::Result, result, &[batch, &[m, n]].concat())?;
    Ok([m, n, k])
}

/// Rejects a view whose dims are not `expected`.
pub(crate) fn check_dims(slot: Slot, view: &View, expected: &[usize]) -> Result<(), Reject> {
    let got = view.dims();
    let reject = || Reject::Shape {
        slot,
        expected: expected.to_vec(),
        got: got.to_vec(),
    };
    if got == expected {
        Ok(())
    } else {
        Err(reject())
    }
}
