//! A JSONL file as examples. What is cut or left out is counted and told, never dropped in silence.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::error::{Error, Result, RowError};
use super::example::Example;
use super::row::Row;
use super::tokenizer::Tokenizer;
use crate::files;

/// How rows become examples.
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
        let mut kind = None;
        for (line, bytes) in lines(path)? {
            let at_row = |error| Error::Row {
                path: path.to_owned(),
                line,
                error: Box::new(error),
            };
            let row = Row::parse(&bytes, kind).map_err(at_row)?;
            kind = Some(row.kind());
            let example =
                Example::from_row(&row, line, tokenizer, options.mask_prompt).map_err(at_row)?;
            check_ids(&example, options.vocab_size).map_err(at_row)?;
            dataset.add(example, options.max_seq_length);
        }
        dataset.tell(options);
        dataset.check_not_empty()?;
        Ok(dataset)
    }

    /// Targets of the loss in one epoch.
    pub fn trained_tokens(&self) -> usize {
        self.examples.iter().map(Example::trained_tokens).sum()
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

    fn check_not_empty(&self) -> Result<()> {
        let path = self.path.clone();
        match (self.examples.len(), self.untrainable.len()) {
            (0, 0) => Err(Error::EmptyFile { path }),
            (0, n_rows) => Err(Error::NothingToTrain { path, n_rows }),
            _ => Ok(()),
        }
    }
}

/// The lines of a file that are not blank, with their numbers from 1. Bytes, because only the JSON
/// parser can say where in a line the encoding breaks.
fn lines(path: &Path) -> Result<Vec<(usize, Vec<u8>)>> {
    let file = files::open(path)?;
    let mut lines = Vec::new();
    for (i, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.map_err(files::Error::at("read", path))?;
        // Some editors begin a file with a byte order mark.
        let line = line
            .strip_prefix("\u{FEFF}".as_bytes())
            .unwrap_or(&line)
            .trim_ascii();
        if !line.is_empty() {
            lines.push((i + 1, line.to_vec()));
        }
    }
    Ok(lines)
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

/// The first numbers, and how many more there are.
fn listed(lines: &[usize]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = lines.iter().take(SHOWN).map(usize::to_string).collect();
    let more = lines.len().saturating_sub(SHOWN);
    let tail = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    shown.join(", ") + &tail
}

#[cfg(test)]
mod tests;
