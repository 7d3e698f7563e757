//! `result = alpha * left * right + beta * addend`, before a kernel is chosen.

use candle_core::DType;

use super::{Reject, Slot, View, limits};

/// A batched product with an addend: BLAS gemm, `addmm` and `baddbmm` of PyTorch.
///
/// `left` is `(.., M, K)`, `right` `(.., K, N)`, `result` and `addend` `(.., M, N)`, with the same
/// dimensions in front; what serves several matrices, rows or columns has a stride of 0 there, so
/// that a bias is an addend with one stride. A transposed factor is one with swapped strides. The
/// result must not share memory with a factor, nor with an addend that is given, which a plan
/// cannot see.
#[derive(Debug, Clone, Copy)]
pub struct Gemm<'a> {
    /// Left factor.
    pub left: &'a View,
    /// Right factor.
    pub right: &'a View,
    /// What is added; without it, and a `beta` other than 0, what the result holds already.
    pub addend: Option<&'a View>,
    /// What is written.
    pub result: &'a View,
    /// Factor of the product; candle's kernels take it as a float32.
    pub alpha: f64,
    /// Factor of the addend, which is never read if this is 0.
    pub beta: f64,
}

/// Types that all kernels multiply but `MPSMatrixMultiplication`, which has no bfloat16.
pub(super) const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

impl<'a> Gemm<'a> {
    /// The product alone.
    pub fn new(left: &'a View, right: &'a View, result: &'a View) -> Self {
        Self {
            left,
            right,
            addend: None,
            result,
            alpha: 1.0,
            beta: 0.0,
        }
    }

    /// M, N and K.
    pub fn sizes(&self) -> [usize; 3] {
        let [[m, n], _] = self.result.last_two();
        let [[_, k], _] = self.left.last_two();
        [m, n, k]
    }

    /// The type of all operands, if it is one of `types`.
    pub(super) fn check_types(
        &self,
        kernel: &'static str,
        types: &[DType],
    ) -> Result<DType, Reject> {
        let read = [Some(self.left), Some(self.right), self.addend];
        let operands: Vec<DType> = read.iter().flatten().map(|view| view.dtype()).collect();
        let result = self.result.dtype();
        if types.contains(&result) && operands.iter().all(|&dtype| dtype == result) {
            return Ok(result);
        }
        Err(Reject::Types {
            kernel,
            operands,
            result,
        })
    }

    /// Rejects operands whose dims do not go together.
    pub(super) fn check_dims(&self) -> Result<(), Reject> {
        let (left, right) = (self.left, self.right);
        limits::check_rank(Slot::Left, left.rank(), 2)?;
        limits::check_rank(Slot::Right, right.rank(), 2)?;
        let (batch, matrix) = left.dims().split_at(left.rank() - 2);
        let n = right.dims()[right.rank() - 1];
        let result = [batch, &[matrix[0], n]].concat();
        right.check_dims(Slot::Right, &[batch, &[matrix[1], n]].concat())?;
        self.result.check_dims(Slot::Result, &result)?;
        let mut addend = self.addend.into_iter();
        addend.try_for_each(|addend| addend.check_dims(Slot::Addend, &result))
    }
}
