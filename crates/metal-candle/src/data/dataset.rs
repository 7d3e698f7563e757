//! Rows as examples. What is cut or left out is counted and told, never dropped in silence.

mod options;
#[cfg(test)]
mod tests;
mod told;

use std::path::{Path, PathBuf};

use super::error::{Error, Result, RowError};
use super::example::Example;
use super::examples::Examples;
use super::fingerprint::{self, Fingerprint};
use super::pair::Useless;
use super::reader::Reader;
use super::shape::{Keys, Shape};
use super::source::{Records, Source, Unit};
use super::splits::Split;
use super::tokenizer::Tokenizer;
pub use options::{Options, longest_row};

/// The examples of one file.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The file.
    pub path: PathBuf,
    /// The rows that have something to train, in the order of the file.
    pub examples: Examples,
    /// Rows that were cut.
    pub truncated: usize,
    /// Tokens that were cut off, over all rows.
    pub truncated_tokens: usize,
    /// Lines (from 1) of rows left out because nothing in them is trained.
    pub untrainable: Vec<usize>,
    /// Lines of pairs left out because both completions are the same.
    pub identical: Vec<usize>,
    /// Lines of pairs left out because their prompt leaves no room for a completion.
    pub long_prompts: Vec<usize>,
    /// Rows left out because they have weight 0.
    pub left_out: usize,
    /// Shape of the rows; `None` where there are none.
    pub shape: Option<Shape>,
    /// What is known of each example besides.
    pub(super) facts: Vec<Fact>,
}

/// Facts about an example besides its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) fingerprint: Fingerprint,
    /// Number of tokens before it was cut, of a pair of its longer sequence.
    pub(super) length: u32,
    /// Tokens that were cut off.
    pub(super) dropped: u32,
    /// Tokens that are left, of a pair those of both sequences.
    pub(super) tokens: u32,
    /// Tokens that the loss counts.
    pub(super) trained: u32,
}

impl Dataset {
    /// Reads a file, whatever container of rows it is.
    ///
    /// Truncated rows are counted; a row of which, after truncation, no token is trained is left out. Both are logged as
    /// one warning each.
    ///
    /// # Errors
    /// With file and place for a row that cannot be used; when the file has no rows, or none with anything to train.
    pub fn load(path: &Path, tokenizer: &Tokenizer, options: &Options) -> Result<Self> {
        Self::load_split(&Source::at(path)?, Split::Train, tokenizer, options)
    }

    /// Reads the files of one split.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_split(
        source: &Source,
        split: Split,
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Self> {
        let records = source.records(split)?;
        let dataset = Self::of(source, records, (tokenizer, options))?;
        dataset.check_not_empty()?;
        Ok(dataset)
    }

    /// The examples of files that belong together; the name of `source` is shown for several. There may be none.
    ///
    /// # Errors
    /// With file and place for a row that cannot be used.
    pub(super) fn of(source: &Source, files: Vec<Records>, how: How<'_>) -> Result<Self> {
        let is_alone = files.len() == 1;
        let mut all = Self::empty(source.name(), None, Examples::within(source.memory_bytes));
        for records in files {
            let before = std::mem::take(&mut all.examples);
            let begun = Self::empty(&records.path, all.shape.clone(), before);
            all.append(begun.with(records, &source.keys, how)?, is_alone);
        }
        Ok(all)
    }

    fn empty(path: &Path, shape: Option<Shape>, examples: Examples) -> Self {
        Self {
            path: path.to_owned(),
            examples,
            truncated: 0,
            truncated_tokens: 0,
            untrainable: Vec::new(),
            identical: Vec::new(),
            long_prompts: Vec::new(),
            left_out: 0,
            shape,
            facts: Vec::new(),
        }
    }

    /// Adds another file, whose examples stand behind those of the files before.
    fn append(&mut self, other: Self, is_alone: bool) {
        if is_alone {
            self.path = other.path;
        }
        self.examples = other.examples;
        self.facts.extend(other.facts);
        self.truncated += other.truncated;
        self.truncated_tokens += other.truncated_tokens;
        self.untrainable.extend(other.untrainable);
        self.identical.extend(other.identical);
        self.long_prompts.extend(other.long_prompts);
        self.left_out += other.left_out;
        self.shape = other.shape;
    }

    /// Reads one file, row by row.
    fn with(mut self, records: Records, keys: &Keys, how: How<'_>) -> Result<Self> {
        let Records { path, unit, items } = records;
        let (tokenizer, options) = how;
        let mut reader = Reader::new(tokenizer, options.mask(), keys, (self.shape.take(), unit));
        for record in items {
            let line = record.number;
            let at_row = |error| row_error(&path, (line, unit), error);
            let (example, row) = reader.read(record).map_err(at_row)?;
            let fingerprint = fingerprint::of(&row);
            check_ids(&example, options.vocab_size).map_err(at_row)?;
            if reader.left_out().last() != Some(&line) {
                self.add(example, fingerprint, options)?;
            }
        }
        reader.tell(&path);
        self.tell(options, unit);
        self.left_out = reader.left_out().len();
        self.shape = reader.shape().cloned();
        Ok(self)
    }

    /// Tokens of all rows, cut.
    pub fn n_tokens(&self) -> usize {
        self.facts.iter().map(|fact| fact.tokens as usize).sum()
    }

    /// Targets of the loss in one epoch.
    pub fn trained_tokens(&self) -> usize {
        self.facts.iter().map(|fact| fact.trained as usize).sum()
    }

    /// Takes `share` of the examples out, one at least, and those that say the same with them; `None` where all do.
    pub(super) fn hold_out(&mut self, share: f64) -> Option<Self> {
        let n_rows = self.examples.len();
        let mut fingerprints: Vec<Fingerprint> =
            self.facts.iter().map(|fact| fact.fingerprint).collect();
        fingerprints.sort_unstable();
        let n_asked = ((share * n_rows as f64).round() as usize).clamp(1, n_rows.max(1));
        // Without the last group where it is all that is left.
        let last = *fingerprints.get(n_asked - 1)?;
        let limit = match fingerprints.last() {
            Some(largest) if *largest == last => {
                fingerprints.into_iter().rev().find(|other| *other < last)?
            }
            _ => last,
        };
        let is_held = |index: usize| self.facts[index].fingerprint <= limit;
        let examples = self.examples.part(is_held);
        let rest = self.examples.part(|index| !is_held(index));
        let mut held = Self::empty(&self.path, self.shape.clone(), examples);
        self.examples = rest;
        let facts = std::mem::take(&mut self.facts).into_iter();
        (held.facts, self.facts) = facts.partition(|fact| fact.fingerprint <= limit);
        held.truncated = held.facts.iter().filter(|fact| fact.dropped > 0).count();
        held.truncated_tokens = held.facts.iter().map(|fact| fact.dropped as usize).sum();
        self.truncated -= held.truncated;
        self.truncated_tokens -= held.truncated_tokens;
        Some(held)
    }

    fn add(
        &mut self,
        mut example: Example,
        fingerprint: Fingerprint,
        options: &Options,
    ) -> Result<()> {
        let length = example.longest();
        let dropped = options.cut(&mut example);
        self.truncated += usize::from(dropped > 0);
        self.truncated_tokens += dropped;
        let (line, trained) = (example.line, example.trained_tokens());
        match example.useless_pair() {
            Some(Useless::Identical) => self.identical.push(line),
            Some(Useless::NoRoom) => self.long_prompts.push(line),
            None if trained == 0 => self.untrainable.push(line),
            None => {
                self.examples.push(&example)?;
                self.facts.push(Fact {
                    fingerprint,
                    length: length as u32,
                    dropped: dropped as u32,
                    tokens: example.all_tokens().count() as u32,
                    trained: trained as u32,
                });
            }
        }
        Ok(())
    }
}

/// Tokenizer and options with which rows become examples.
pub(super) type How<'a> = (&'a Tokenizer, &'a Options);

pub(super) fn row_error(path: &Path, (line, unit): (usize, Unit), error: RowError) -> Error {
    Error::Row {
        path: path.to_owned(),
        line,
        unit,
        error: Box::new(error),
    }
}

pub(super) fn check_ids(
    example: &Example,
    vocab_size: Option<usize>,
) -> std::result::Result<(), RowError> {
    let Some(vocab_size) = vocab_size else {
        return Ok(());
    };
    let mut tokens = example.all_tokens().enumerate();
    match tokens.find(|&(_, id)| id as usize >= vocab_size) {
        Some((position, id)) => Err(RowError::TokenOutOfRange {
            id,
            position,
            vocab_size,
        }),
        None => Ok(()),
    }
}
