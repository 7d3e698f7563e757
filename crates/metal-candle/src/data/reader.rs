//! Rows of one file as examples.

use std::path::Path;

use super::convention::Mask;
use super::error::RowError;
use super::example::Example;
use super::notes::{Note, Notes};
use super::pair;
use super::row::{Line, Row};
use super::shape::{Keys, Shape};
use super::source::{Record, Unit};
use super::tokenizer::Tokenizer;

/// Reader of the rows of a file, which are all of the first one's shape, and of what is to be told
/// about them.
pub(super) struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    mask: Mask,
    keys: &'a Keys,
    shape: Option<Shape>,
    notes: Notes,
}

impl<'a> Reader<'a> {
    /// Reader of a file whose rows are of a `shape`, or of that of the first one.
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        mask: Mask,
        keys: &'a Keys,
        (shape, unit): (Option<Shape>, Unit),
    ) -> Self {
        Self {
            tokenizer,
            mask,
            keys,
            shape,
            notes: Notes::of(unit),
        }
    }

    /// Takes the shape of all rows from the file's first.
    pub(super) fn first(&mut self, record: Record) -> Result<(), RowError> {
        self.line(record.value?.0).map(drop)
    }

    fn line(&mut self, value: super::json::Json) -> Result<Line, RowError> {
        if matches!(self.mask, Mask::Pairs { .. }) {
            pair::check_keys(&value)?;
        }
        let is_chat = self.tokenizer.has_chat_template();
        Line::read(value, &mut self.shape, self.keys, is_chat)
    }

    /// Reads the row of a record, and makes an example of it. Nothing in a row of weight 0 is trained.
    pub(super) fn read(&mut self, record: Record) -> Result<(Example, Row), RowError> {
        let line = record.number;
        let (value, duplicates) = record.value?;
        let parsed = self.line(value)?;
        let unread = parsed.unread.into_iter().map(Note::UnreadKey);
        let duplicates = duplicates.into_iter().map(Note::Duplicate);
        let second = parsed.second_system.into_iter().map(Note::SecondSystem);
        for note in unread.chain(duplicates).chain(second) {
            self.notes.add(note, line);
        }
        let notes = (&mut self.notes, line);
        let mut example = Example::noting(&parsed.row, self.tokenizer, self.mask, notes)?;
        if parsed.is_left_out {
            example.trained.fill(false);
            self.notes.left_out.push(line);
        } else if parsed.row.is_unanswered() {
            self.notes.unanswered.push(line);
        }
        Ok((example, parsed.row))
    }

    /// Lines of rows of weight 0.
    pub(super) fn left_out(&self) -> &[usize] {
        &self.notes.left_out
    }

    /// The shape of the rows, once one was read.
    pub(super) fn shape(&self) -> Option<&Shape> {
        self.shape.as_ref()
    }

    /// Logs what is to be told, once each.
    pub(super) fn tell(&self, path: &Path) {
        self.notes.tell(path);
    }
}
