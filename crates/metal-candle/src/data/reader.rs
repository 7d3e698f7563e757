//! Rows of one file as examples.

use std::path::Path;

use super::error::RowError;
use super::example::Example;
use super::notes::{Note, Notes};
use super::row::{Line, RowKind};
use super::tokenizer::Tokenizer;

/// Reader of the rows of a file, which are all of the first one's kind, and of what is to be told
/// about them.
pub(super) struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    mask_prompt: bool,
    kind: Option<RowKind>,
    notes: Notes,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, mask_prompt: bool) -> Self {
        Self {
            tokenizer,
            mask_prompt,
            kind: None,
            notes: Notes::default(),
        }
    }

    /// Takes the kind of all rows from the file's first.
    pub(super) fn first(&mut self, bytes: &[u8]) -> Result<(), RowError> {
        self.kind = Some(Line::parse(bytes, None)?.row.kind());
        Ok(())
    }

    /// Reads the row on `line`. Nothing in a row of weight 0 is trained.
    pub(super) fn read(&mut self, line: usize, bytes: &[u8]) -> Result<Example, RowError> {
        let parsed = Line::parse(bytes, self.kind)?;
        self.kind = Some(parsed.row.kind());
        let unread = parsed.unread.into_iter().map(Note::UnreadKey);
        let duplicates = parsed.duplicates.into_iter().map(Note::Duplicate);
        for note in unread.chain(duplicates) {
            self.notes.add(note, line);
        }
        let notes = (&mut self.notes, line);
        let mut example = Example::noting(&parsed.row, self.tokenizer, self.mask_prompt, notes)?;
        if parsed.is_left_out {
            example.trained.fill(false);
            self.notes.left_out.push(line);
        }
        Ok(example)
    }

    /// Lines of rows of weight 0.
    pub(super) fn left_out(&self) -> &[usize] {
        &self.notes.left_out
    }

    /// Logs what is to be told, once each.
    pub(super) fn tell(&self, path: &Path) {
        self.notes.tell(path);
    }
}
