use candle_core::{Tensor, Var};
use metal_candle_kernels::mix_seed;

/// Mode of a forward pass: whether it is part of training.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mode {
    dropout_seed: Option<u64>,
    /// Strength of the noise in embeddings.
    neftune_noise_alpha: f64,
}

impl Mode {
    /// No dropout, no graph.
    pub const INFERENCE: Self = Self {
        dropout_seed: None,
        neftune_noise_alpha: 0.0,
    };

    /// Dropout whose masks are fixed by `seed`: a recomputed pass draws the same.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self {
            dropout_seed: Some(seed),
            ..Self::INFERENCE
        }
    }

    /// Mode with noise of this strength in embeddings, where it is part of training; the seed fixes it too.
    #[must_use]
    pub fn with_neftune(self, alpha: f64) -> Self {
        Self {
            neftune_noise_alpha: alpha,
            ..self
        }
    }

    /// Strength and seed of the noise in embeddings.
    pub(crate) fn neftune(self) -> Option<(f64, u64)> {
        let is_on = self.neftune_noise_alpha > 0.0;
        Some((
            self.neftune_noise_alpha,
            self.dropout_seed.filter(|_| is_on)?,
        ))
    }

    /// Mode of part `part` of what is computed in parts: each has masks of its own.
    pub(crate) fn part(self, part: usize) -> Self {
        let seed = self.dropout_seed;
        Self {
            dropout_seed: seed.map(|seed| mix_seed(seed, part as u64)),
            ..self
        }
    }

    pub(super) fn dropout_seed(self) -> Option<u64> {
        self.dropout_seed
    }

    /// Values of a parameter: tracked where the pass is part of training.
    pub(super) fn seen(self, parameter: &Var) -> Tensor {
        match self.dropout_seed {
            Some(_) => parameter.as_tensor().clone(),
            None => parameter.as_detached_tensor(),
        }
    }
}
