//! Plans for `MPSNDArrayMatrixMultiplication`.

use candle_core::DType;

use super::axis::{LEFT, RESULT};
use super::gemm::FLOATS;
use super::limits::{MAX_DIMENSION, MAX_ELEMENTS};
use super::product::{calls, fold};
use super::{Gemm, Matrix, Reject};

/// One `MPSNDArrayMatrixMultiplication` object and the times it is encoded.
///
/// Two sources and no addend: the kernel with three drops it for a single row on M1 under macOS 26
/// (PyTorch, `Linear.mm`). Arrays have two dimensions: with more, f16 and bf16 differ from run to
/// run on M5 (pytorch#180776).
#[derive(Debug, Clone, PartialEq)]
pub struct NdArrayMultiplication {
    /// `alpha`, a property set before each encoding.
    pub alpha: f64,
    /// Type of all arrays. Objects of one type may be shared: sizes come with the arrays.
    pub dtype: DType,
    /// Left factor, right factor and result of each encoding, with packed rows; calls write different
    /// elements, so their order is free.
    pub calls: Vec<[Matrix; 3]>,
}

/// `MPSNDArray.h` wants the product of the sizes below 2^31; the limit on each sees to that.
const _: () = assert!(MAX_DIMENSION * MAX_DIMENSION <= MAX_ELEMENTS);

impl NdArrayMultiplication {
    /// Plans `gemm` without copying an operand.
    ///
    /// A batch becomes rows where the right factor is shared, and one call per matrix otherwise.
    /// Factors must be contiguous or plain transposes.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit; a `beta` other than 0 does not.
    pub fn plan(gemm: &Gemm<'_>) -> Result<Self, Reject> {
        let name = "MPSNDArrayMatrixMultiplication";
        let packed = |matrices: &[Matrix; 3]| {
            let folded = [LEFT, RESULT].map(|i| matrices[i].check_packed());
            folded.iter().all(Result::is_ok)
        };
        let (problem, matrices) = fold(gemm, name, &FLOATS, packed)?;
        if gemm.beta != 0.0 {
            return Err(Reject::Beta { beta: gemm.beta });
        }
        matrices.iter().try_for_each(Matrix::check_packed)?;
        Ok(Self {
            alpha: gemm.alpha,
            dtype: problem.dtype,
            calls: calls(&problem, &problem.batch, matrices, Matrix::at)?,
        })
    }
}
