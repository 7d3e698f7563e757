use crate::lora::{LastBlocks, LoraConfig, Method};
use std::path::{Path, PathBuf};

/// The part of a model that is trained.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Fresh adapters.
    Fresh {
        /// Their settings; `blocks` says what `layers_to_transform` is.
        config: Box<LoraConfig>,
        /// Blocks that carry adapters.
        blocks: LastBlocks,
        /// Special tokens that the tokenizer gets, and whose rows are trained.
        add_tokens: Vec<String>,
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
    /// Blocks that are trained as a whole, counted from the last; `None` for all.
    pub(super) fn n_blocks(&self) -> Option<usize> {
        match self {
            Self::Blocks(LastBlocks::AtMost(n) | LastBlocks::Exactly(n)) => Some(*n),
            _ => None,
        }
    }

    /// Special tokens that the tokenizer gets.
    pub(super) fn added_tokens(&self) -> &[String] {
        match self {
            Self::Fresh { add_tokens, .. } => add_tokens,
            _ => &[],
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
