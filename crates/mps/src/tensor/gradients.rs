//! Backward of `mps_matmul`.

use candle_core::{DType, Tensor};

use super::Result;
use super::matmul::{MatMulOptions, MpsMatMul, Product};

impl Product {
    /// Gradients of the factors that are tracked.
    pub fn gradients(
        &self,
        left: &Tensor,
        right: &Tensor,
        dy: &Tensor,
    ) -> Result<[Option<Tensor>; 2]> {
        let d_left = left.track_op().then(|| self.d_left(left, right, dy));
        let d_right = right.track_op().then(|| self.d_right(left, right, dy));
        Ok([d_left.transpose()?, d_right.transpose()?])
    }

    /// `alpha dy op(right)^T`, or the transpose of it.
    fn d_left(&self, left: &Tensor, right: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (right, [turned, stored_turned]) = (right.detach(), self.transposed);
        let gradient = match turned {
            false => self.product([dy, &right], [false, !stored_turned])?,
            true => self.product([&right, dy], [stored_turned, true])?,
        };
        sum_to_shape(&gradient, left)
    }

    /// `alpha op(left)^T dy`, or the transpose of it.
    fn d_right(&self, left: &Tensor, right: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let (rows, dy) = if right.rank() == 2 && !self.transposed[0] {
            (as_rows(&left.detach())?, as_rows(dy)?)
        } else {
            (left.detach(), dy.clone())
        };
        let [stored_turned, turned] = self.transposed;
        let gradient = match turned {
            false => self.product([&rows, &dy], [!stored_turned, false])?,
            true => self.product([&dy, &rows], [true, stored_turned])?,
        };
        sum_to_shape(&gradient, right)
    }

    fn product(&self, [left, right]: [&Tensor; 2], transposed: [bool; 2]) -> Result<Tensor> {
        let [transpose_left, transpose_right] = transposed;
        let alpha = self.alpha;
        let options = MatMulOptions {
            transpose_left,
            transpose_right,
            alpha,
            ..Default::default()
        };
        left.mps_matmul_with(right, &options)
    }

    /// Gradient of the addend if it is tracked.
    pub fn d_addend(&self, addend: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let gradient = || match dy.elem_count() {
            0 => sum_to_shape(dy, addend),
            _ => sum_to_shape(&dy.affine(self.beta, 0.0)?, addend),
        };
        addend.track_op().then(gradient).transpose()
    }
}

/// `(.., M, K)` as `(rows, K)`: one product where the other factor is shared, instead of a batch
/// and a sum over it.
fn as_rows(tensor: &Tensor) -> Result<Tensor> {
    let columns = tensor.dim(tensor.rank() - 1)?;
    let rows = tensor.dims()[..tensor.rank() - 1].iter().product::<usize>();
    Ok(tensor.reshape((rows, columns))?)
}

/// `gradient` summed over what broadcasting `like` has added or stretched, in float32.
fn sum_to_shape(gradient: &Tensor, like: &Tensor) -> Result<Tensor> {
    if gradient.dims() == like.dims() {
        return Ok(gradient.clone());
    }
    if gradient.elem_count() == 0 {
        return Ok(Tensor::zeros(like.shape(), like.dtype(), like.device())?);
    }
    let mut sum = gradient.to_dtype(DType::F32)?;
    while sum.rank() > like.rank() {
        sum = sum.sum(0)?;
    }
    for (dim, &len) in like.dims().iter().enumerate() {
        if len != sum.dim(dim)? {
            sum = sum.sum_keepdim(dim)?;
        }
    }
    Ok(sum.to_dtype(like.dtype())?)
}
