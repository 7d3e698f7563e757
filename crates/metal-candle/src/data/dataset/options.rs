use crate::data::convention::{Convention, Mask};
use crate::data::error::{Error, Result};
use crate::data::example::Example;

/// Options of how rows become examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest row in tokens; what is longer is cut at its end.
    pub max_seq_length: usize,
    /// Train only what the assistant (or the completion) says.
    pub mask_prompt: bool,
    /// Rule by which tokens are trained.
    pub convention: Convention,
    /// Rows of the model's embedding table: a token id at or above it is an error. `None` checks
    /// nothing.
    pub vocab_size: Option<usize>,
}

impl Options {
    pub(in crate::data) fn mask(&self) -> Mask {
        self.convention.mask(self.mask_prompt)
    }

    /// Cuts a row to the longest that may be; gives the tokens that were cut off.
    pub(in crate::data) fn cut(&self, example: &mut Example) -> usize {
        let dropped = example.truncate(self.max_seq_length);
        self.convention.close(example, self.max_seq_length);
        dropped
    }
}

/// Longest row in tokens where nothing is said and the model has room, as in mlx-lm.
const DEFAULT_TOKENS: usize = 2048;

/// The longest row in tokens: what was asked for, or else 2048 or the model's `limit`.
///
/// # Errors
/// When more was asked for than the model takes.
pub fn longest_row(asked: Option<usize>, limit: usize) -> Result<usize> {
    match asked {
        None => Ok(DEFAULT_TOKENS.min(limit)),
        Some(asked) if asked <= limit => Ok(asked),
        Some(asked) => Err(Error::MaxSeqLength { asked, limit }),
    }
}
