//! A JSONL file as examples. What is cut or left out is counted and told, never dropped in silence.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::error::{Error, Result, RowError};
use super::example::Example;
use super::lines::Lines;
use super::notes::listed;
use super::reader::Reader;
use super::tokenizer::Tokenizer;

/// Options of how rows become examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest row in tokens; what is longer is cut at its end.
    pub max_seq_length: usize,
    /// Train only what the assistant (or the completion) says.
    pub mask_prompt: bool,
    /// Rows of the model's embedding table: a token id at or above it is an error. `None` checks
    /// nothing.
    pub vocab_size: Option<usize>,
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

/// The examples of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The file.
    pub path: PathBuf,
    /// The rows that have something to train, in the order of the file.
    pub examples: Vec<Example>,
    /// Rows that were cut.
    pub truncated: usize,
    /// Tokens that were cut off, over all rows.
    pub truncated_tokens: usize,
    /// Lines (from 1) of rows left out because nothing in them is trained.
    pub untrainable: Vec<usize>,
}

impl Dataset {
    /// Reads a JSONL file.
    ///
    /// Blank lines are skipped. Truncated rows are counted; a row of which, after truncation, no
    /// token is trained is left out. Both are logged as one warning each.
    ///
    /// # Errors
    /// With file and line for a row that cannot be used; when the file has no rows, or none with
    /// anything to train.
    pub fn load(path: &Path, tokenizer: &Tokenizer, options: &Options) -> Result<Self> {
        let mut dataset = Self {
            path: path.to_owned(),
            examples: Vec::new(),
            truncated: 0,
            truncated_tokens: 0,
            untrainable: Vec::new(),
        };
        let mut reader = Reader::new(tokenizer, options.mask_prompt);
        for (line, bytes) in Lines::read(path)?.rows() {
            let at_row = |error| row_error(path, line, error);
            let example = reader.read(line, bytes).map_err(at_row)?;
            check_ids(&example, options.vocab_size).map_err(at_row)?;
            if reader.left_out().last() != Some(&line) {
                dataset.add(example, options.max_seq_length);
            }
        }
        reader.tell(path);
        dataset.tell(options);
        dataset.check_not_empty(reader.left_out().len())?;
        Ok(dataset)
    }

    /// One row, as [`load`](Self::load) reads it: the example, cut, and how many tokens were cut off.
    /// `None` when there is no row on `line`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn row(
        path: &Path,
        line: usize,
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Option<(Example, usize)>> {
        let lines = Lines::read(path)?;
        let Some((first_line, first)) = lines.rows().next() else {
            return Err(Error::EmptyFile { path: path.into() });
        };
        let mut reader = Reader::new(tokenizer, options.mask_prompt);
        let read = reader.first(first);
        read.map_err(|error| row_error(path, first_line, error))?;
        let Some((_, bytes)) = lines.rows().find(|(number, _)| *number == line) else {
            return Ok(None);
        };
        let at_row = |error| row_error(path, line, error);
        let mut example = reader.read(line, bytes).map_err(at_row)?;
        check_ids(&example, options.vocab_size).map_err(at_row)?;
        reader.tell(path);
        let dropped = example.truncate(options.max_seq_length);
        Ok(Some((example, dropped)))
    }

    /// Targets of the loss in one epoch.
    pub fn trained_tokens(&self) -> usize {
        self.examples.iter().map(Example::trained_tokens).sum()
    }

    /// Whether every example of `other` is one of these.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let own: HashSet<&[u32]> = self.examples.iter().map(|row| &*row.tokens).collect();
        let mut others = other.examples.iter();
        others.all(|row| own.contains(&*row.tokens))
    }

    fn add(&mut self, mut example: Example, max_seq_length: usize) {
        let dropped = example.truncate(max_seq_length);
        self.truncated += usize::from(dropped > 0);
        self.truncated_tokens += dropped;
        if example.trained_tokens() == 0 {
            self.untrainable.push(example.line);
        } else {
            self.examples.push(example);
        }
    }

    fn tell(&self, options: &Options) {
        let path = self.path.display();
        if self.truncated > 0 {
            tracing::warn!(
                "{path}: {} rows are longer than {} tokens and were cut, {} tokens in all",
                self.truncated,
                options.max_seq_length,
                self.truncated_tokens
            );
        }
        if !self.untrainable.is_empty() {
            tracing::warn!(
                "{path}: {} rows have no token to train and are left out: line {}",
                self.untrainable.len(),
                listed(&self.untrainable)
            );
        }
    }

    fn check_not_empty(&self, n_left_out: usize) -> Result<()> {
        let path = self.path.clone();
        let n_untrained = self.untrainable.len() + n_left_out;
        match (self.examples.len(), n_untrained) {
            (0, 0) => Err(Error::EmptyFile { path }),
            (0, n_rows) => Err(Error::NothingToTrain { path, n_rows }),
            _ => Ok(()),
        }
    }
}

fn row_error(path: &Path, line: usize, error: RowError) -> Error {
    Error::Row {
        path: path.to_owned(),
        line,
        error: Box::new(error),
    }
}

fn check_ids(example: &Example, vocab_size: Option<usize>) -> std::result::Result<(), RowError> {
    let Some(vocab_size) = vocab_size else {
        return Ok(());
    };
    match example
        .tokens
        .iter()
        .position(|&id| id as usize >= vocab_size)
    {
        Some(position) => Err(RowError::TokenOutOfRange {
            id: example.tokens[position],
            position,
            vocab_size,
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
