//! `result = alpha * left * right + beta * addend`, before a kernel is chosen.

use super::{Product, Reject, View};

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
    /// Factor of the product; kernels take it as a float32.
    pub alpha: f64,
    /// Factor of the addend, which is never read if this is 0.
    pub beta: f64,
}

impl<'a> Gemm<'a> {
    /// The product for the kernels of MPS, which add to the result itself or not at all.
    ///
    /// # Errors
    ///
    /// [`Reject::SeparateAddend`].
    pub fn product(&self) -> Result<Product<'a>, Reject> {
        if self.addend.is_some() && self.beta != 0.0 {
            return Err(Reject::SeparateAddend);
        }
        Ok(Product {
            left: self.left,
            right: self.right,
            result: self.result,
            alpha: self.alpha,
            beta: self.beta,
        })
    }
}
