use crate::models::Result;
use crate::models::config::fields::Fields;
use candle_core::{DType, Tensor};
use metal_candle_kernels::{rms_norm, rms_norm_residual, tape};

/// Kind of a norm: how it is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::models) struct NormKind {
    /// Added to the mean square.
    pub(in crate::models) eps: f64,
    /// The factor is 1 plus the weight, in float32, instead of the weight.
    pub(in crate::models) plus_one: bool,
}

impl NormKind {
    /// Takes `rms_norm_eps`: far below the smallest that is in use, and still a float32 that is not zero.
    pub(in crate::models) fn take(fields: &mut Fields<'_>) -> Result<Self> {
        let eps = fields.number("rms_norm_eps", 1e-30..=1.0)?;
        Ok(Self {
            eps: fields.required("rms_norm_eps", eps)?,
            plus_one: false,
        })
    }
}

/// Root-mean-square norm.
#[derive(Debug)]
pub struct RmsNorm {
    path: String,
    /// Weight of the checkpoint, `(D)`.
    weight: Tensor,
    /// What is computed with.
    factor: Tensor,
    kind: NormKind,
}

impl RmsNorm {
    /// Norm with the weight `(D)` that a checkpoint has at `path`.
    ///
    /// # Errors
    /// When memory runs out.
    pub(in crate::models) fn new(path: String, weight: Tensor, kind: NormKind) -> Result<Self> {
        Ok(Self {
            path,
            factor: factor(&weight, kind)?,
            weight,
            kind,
        })
    }

    /// `(.., D)` -> `(.., D)`.
    pub(in crate::models) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(rms_norm(x, &self.factor()?, self.kind.eps)?)
    }

    /// `x + residual`, and its norm.
    pub(super) fn forward_sum(&self, x: &Tensor, residual: &Tensor) -> Result<(Tensor, Tensor)> {
        let factor = self.factor()?;
        Ok(rms_norm_residual(x, residual, &factor, self.kind.eps)?)
    }

    /// Factor of the norm; that of a weight that is trained changes with it.
    fn factor(&self) -> Result<Tensor> {
        match self.weight.is_variable() {
            true => factor(&self.weight, self.kind),
            false => Ok(self.factor.clone()),
        }
    }

    /// Path in a checkpoint, without `.weight`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Weight as a checkpoint has it, `(D)`.
    #[must_use]
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    pub(super) fn set_weight(&mut self, weight: Tensor) -> candle_core::Result<()> {
        self.factor = factor(&weight, self.kind).map_err(candle_core::Error::wrap)?;
        self.weight = weight;
        Ok(())
    }
}

fn factor(weight: &Tensor, kind: NormKind) -> Result<Tensor> {
    match kind.plus_one {
        true => {
            let weight = weight.to_dtype(DType::F32)?;
            Ok(tape::add(&weight, &weight.ones_like()?)?)
        }
        false => Ok(weight.clone()),
    }
}
