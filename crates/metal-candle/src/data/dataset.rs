//! Rows as examples. What is cut or left out is counted and told, never dropped in silence.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::convention::{Convention, Mask};
use super::error::{Error, Result, RowError};
use super::example::Example;
use super::fingerprint::Fingerprint;
use super::notes::listed;
use super::pair::Useless;
use super::reader::Reader;
use super::shape::{Keys, Shape};
use super::source::{Records, Source, Unit};
use super::splits::Split;
use super::tokenizer::Tokenizer;

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
    pub(super) fn mask(&self) -> Mask {
        self.convention.mask(self.mask_prompt)
    }

    /// Cuts a row to the longest that may be; gives the tokens that were cut off.
    pub(super) fn cut(&self, example: &mut Example) -> usize {
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
    pub(super) length: usize,
    /// Tokens that were cut off.
    pub(super) dropped: usize,
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
        let dataset = Self::of(source.name(), records, (&source.keys, tokenizer, options))?;
        dataset.check_not_empty()?;
        Ok(dataset)
    }

    /// The examples of files that belong together; `name` is shown for several. There may be none.
    ///
    /// # Errors
    /// With file and place for a row that cannot be used.
    pub(super) fn of(name: &Path, files: Vec<Records>, how: How<'_>) -> Result<Self> {
        let is_alone = files.len() == 1;
        let mut all = Self::empty(name, None);
        for records in files {
            let one = Self::of_file(records, all.shape.clone(), how)?;
            all.append(one, is_alone);
        }
        Ok(all)
    }

    fn empty(path: &Path, shape: Option<Shape>) -> Self {
        Self {
            path: path.to_owned(),
            examples: Vec::new(),
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

    fn append(&mut self, other: Self, is_alone: bool) {
        if is_alone {
            self.path = other.path;
        }
        self.examples.extend(other.examples);
        self.facts.extend(other.facts);
        self.truncated += other.truncated;
        self.truncated_tokens += other.truncated_tokens;
        self.untrainable.extend(other.untrainable);
        self.identical.extend(other.identical);
        self.long_prompts.extend(other.long_prompts);
        self.left_out += other.left_out;
        self.shape = other.shape;
    }

    fn of_file(
        records: Records,
        shape: Option<Shape>,
        (keys, tokenizer, options): How<'_>,
    ) -> Result<Self> {
        let Records { path, unit, items } = records;
        let mut dataset = Self::empty(&path, None);
        let mut reader = Reader::new(tokenizer, options.mask(), keys, (shape, unit));
        for record in items {
            let line = record.number;
            let at_row = |error| row_error(&path, (line, unit), error);
            let (example, fingerprint) = reader.read(record).map_err(at_row)?;
            check_ids(&example, options.vocab_size).map_err(at_row)?;
            if reader.left_out().last() != Some(&line) {
                dataset.add(example, fingerprint, options);
            }
        }
        reader.tell(&path);
        dataset.tell(options, unit);
        dataset.left_out = reader.left_out().len();
        dataset.shape = reader.shape().cloned();
        Ok(dataset)
    }

    /// Targets of the loss in one epoch.
    pub fn trained_tokens(&self) -> usize {
        self.examples.iter().map(Example::trained_tokens).sum()
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
        let mut held = Self::empty(&self.path, self.shape.clone());
        let pairs = std::mem::take(&mut self.examples)
            .into_iter()
            .zip(std::mem::take(&mut self.facts));
        let (out, rest): (Vec<_>, Vec<_>) = pairs.partition(|(_, fact)| fact.fingerprint <= limit);
        (held.examples, held.facts) = out.into_iter().unzip();
        (self.examples, self.facts) = rest.into_iter().unzip();
        held.truncated = held.facts.iter().filter(|fact| fact.dropped > 0).count();
        held.truncated_tokens = held.facts.iter().map(|fact| fact.dropped).sum();
        self.truncated -= held.truncated;
        self.truncated_tokens -= held.truncated_tokens;
        Some(held)
    }

    /// Whether every example of `other` is one of these.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let own: HashSet<_> = self.examples.iter().map(sequences).collect();
        let mut others = other.examples.iter();
        others.all(|row| own.contains(&sequences(row)))
    }

    fn add(&mut self, mut example: Example, fingerprint: Fingerprint, options: &Options) {
        let length = example.longest();
        let dropped = options.cut(&mut example);
        self.truncated += usize::from(dropped > 0);
        self.truncated_tokens += dropped;
        let line = example.line;
        match example.useless_pair() {
            Some(Useless::Identical) => self.identical.push(line),
            Some(Useless::NoRoom) => self.long_prompts.push(line),
            None if example.trained_tokens() == 0 => self.untrainable.push(line),
            None => {
                self.examples.push(example);
                self.facts.push(Fact {
                    fingerprint,
                    length,
                    dropped,
                });
            }
        }
    }

    fn tell(&self, options: &Options, unit: Unit) {
        let path = self.path.display();
        if self.truncated > 0 {
            tracing::warn!(
                "{path}: {} rows are longer than {} tokens and were cut, {} tokens in all",
                self.truncated,
                options.max_seq_length,
                self.truncated_tokens
            );
        }
        let no_room = format!(
            "have a prompt that leaves no room for a completion in {} tokens",
            options.max_seq_length
        );
        for (lines, what) in [
            (&self.untrainable, "have no token to train"),
            (&self.identical, "have the same tokens in both completions"),
            (&self.long_prompts, &no_room),
        ] {
            if !lines.is_empty() {
                let (n, unit, listed) = (lines.len(), unit.name(), listed(lines));
                tracing::warn!("{path}: {n} rows {what} and are left out: {unit} {listed}");
            }
        }
    }

    /// # Errors
    /// When there are no rows, or none with anything to train.
    pub(super) fn check_not_empty(&self) -> Result<()> {
        let path = self.path.clone();
        let useless = [&self.untrainable, &self.identical, &self.long_prompts];
        let n_untrained = useless.into_iter().map(Vec::len).sum::<usize>() + self.left_out;
        match (self.examples.len(), n_untrained) {
            (0, 0) => Err(Error::EmptyFile { path }),
            (0, n_rows) => Err(Error::NothingToTrain { path, n_rows }),
            _ => Ok(()),
        }
    }
}

/// Tokens of a row, and of a pair's other sequence.
fn sequences(row: &Example) -> (&[u32], Option<&[u32]>) {
    (&row.tokens, row.pair.as_ref().map(|pair| &*pair.rejected))
}

/// Columns, tokenizer and options with which rows become examples.
pub(super) type How<'a> = (&'a Keys, &'a Tokenizer, &'a Options);

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

#[cfg(test)]
mod tests;
