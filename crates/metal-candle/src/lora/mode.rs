use candle_core::{Tensor, Var};
use metal_candle_kernels::mix_seed;

/// Mode of a forward pass: whether it is part of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    dropout_seed: Option<u64>,
}

impl Mode {
    /// No dropout, no graph.
    pub const INFERENCE: Self = Self { dropout_seed: None };

    /// Dropout whose masks are fixed by `seed`: a recomputed pass draws the same.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self {
            dropout_seed: Some(seed),
        }
    }

    /// Mode of part `part` of what is computed in parts: each has masks of its own.
    pub(crate) fn part(self, part: usize) -> Self {
        let seed = self.dropout_seed;
        Self {
            dropout_seed: seed.map(|seed| mix_seed(seed, part as u64)),
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
