//! One row, to be shown.

use std::path::PathBuf;

use super::dataset::{Dataset, Options, check_ids, row_error};
use super::error::{Error, Result};
use super::example::Example;
use super::reader::Reader;
use super::shape::Shape;
use super::source::{Records, Source, Unit};
use super::splits::Split;
use super::tokenizer::Tokenizer;

/// One row, as it is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The file.
    pub path: PathBuf,
    /// What places of rows in the file count.
    pub unit: Unit,
    /// The row, cut.
    pub example: Example,
    /// Tokens that were cut off.
    pub dropped: usize,
    /// Shape of the file's rows.
    pub shape: Option<Shape>,
}

impl Dataset {
    /// One row of the first file to train on, as [`load`](Self::load) reads it: that at a place, or the first one, of
    /// which nothing is logged. `None` when there is no row at `place`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn row(
        source: &Source,
        place: Option<usize>,
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Option<Shown>> {
        let Some(Records { path, unit, items }) = source.records(Split::Train)?.into_iter().next()
        else {
            return Err(Error::MissingSplit {
                split: Split::Train,
                path: Split::Train.path(source.name()),
            });
        };
        let mut reader = Reader::new(tokenizer, options.mask(), &source.keys, (None, unit));
        let mut is_empty = true;
        for record in items {
            let line = record.number;
            let at_row = |error| row_error(&path, (line, unit), error);
            if place.is_none_or(|place| place == line) {
                let (mut example, _) = reader.read(record).map_err(at_row)?;
                check_ids(&example, options.vocab_size).map_err(at_row)?;
                if place.is_some() {
                    reader.tell(&path);
                }
                let dropped = options.cut(&mut example);
                let shape = reader.shape().cloned();
                return Ok(Some(Shown {
                    path,
                    unit,
                    example,
                    dropped,
                    shape,
                }));
            }
            if is_empty {
                reader.first(record).map_err(at_row)?;
            }
            is_empty = false;
        }
        match is_empty {
            true => Err(Error::EmptyFile { path }),
            false => Ok(None),
        }
    }
}
