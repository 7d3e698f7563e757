use candle_core::{DType, Result, Tensor};

/// Sinks of attention: one more score of each query head, which takes its share of every softmax and gives nothing.
#[derive(Debug)]
pub struct Sinks {
    path: String,
    /// Numbers of the checkpoint, `(H)`.
    stored: Tensor,
    /// What is computed with, float32.
    scores: Tensor,
}

impl Sinks {
    /// Name below the path of the attention layer.
    pub(in crate::models) const NAME: &str = "sinks";

    /// Sinks `(H)` of the attention layer at `path`.
    pub(in crate::models) fn new(path: String, stored: Tensor) -> Result<Self> {
        Ok(Self {
            path,
            scores: stored.to_dtype(DType::F32)?,
            stored,
        })
    }

    /// Path of the attention layer.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Numbers of the checkpoint, `(H)`.
    #[must_use]
    pub fn stored(&self) -> &Tensor {
        &self.stored
    }

    /// Replaces the numbers.
    pub(in crate::models) fn set(&mut self, stored: Tensor) -> Result<()> {
        *self = Self::new(std::mem::take(&mut self.path), stored)?;
        Ok(())
    }

    pub(super) fn scores(&self) -> &Tensor {
        &self.scores
    }
}
