use crate::lora::{LastBlocks, LoraConfig, Method};
use std::path::{Path, PathBuf};

/// The part of a model that is trained.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Fresh adapters.
    Fresh {
        /// Their settings; `blocks` says what `layers_to_transform` is.
        config: LoraConfig,
        /// Blocks that carry adapters.
        blocks: LastBlocks,
    },
    /// Adapters to go on with, with the state of the run that saved them, where there is one.
    Resumed {
        /// A PEFT folder, the tensor file in one, or the folder of a run.
        path: PathBuf,
        /// The method that they must be of.
        method: Option<Method>,
        /// Dropout in place of theirs.
        dropout: Option<f64>,
    },
    /// All weights, which gives a whole checkpoint.
    AllWeights,
    /// All weights of some blocks, as mlx-lm trains a whole model: a whole checkpoint, whose embedding, head and last
    /// norm are as they were.
    Blocks(LastBlocks),
}

impl Subject {
    /// Blocks that are trained as a whole, in mlx-lm's words: their number from the last one, -1 for all; `None` where
    /// no blocks were named.
    pub(super) fn num_layers(&self) -> Option<i64> {
        match self {
            Self::Blocks(LastBlocks::All) => Some(-1),
            Self::Blocks(LastBlocks::AtMost(n) | LastBlocks::Exactly(n)) => i64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// Path of the adapters to go on with.
    pub(super) fn resumed(&self) -> Option<&Path> {
        match self {
            Self::Resumed { path, .. } => Some(path),
            Self::Fresh { .. } | Self::AllWeights | Self::Blocks(_) => None,
        }
    }
}
