//! A JSON document as a stream, of which one value is in memory at a time.

mod end;

use std::io::{self, BufRead, Cursor, ErrorKind, Read};

use super::{JsonError, Parsed, parse, reason};
use end::End;

/// The byte order mark that some editors begin a file with.
const MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Parts of a document in the order in which they stand.
pub(in crate::data) struct Stream {
    reader: Box<dyn BufRead>,
    /// Characters before the next one.
    n_chars: usize,
}

/// Reason why a stream is not read on.
#[derive(Debug, thiserror::Error)]
pub(in crate::data) enum StreamError {
    /// There is no JSON from a column on, that of the whole document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Nothing can be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

type Result<T, E = StreamError> = std::result::Result<T, E>;

/// Brackets around entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Brackets {
    /// Brackets of a list.
    List,
    /// Braces of an object.
    Object,
}

impl Stream {
    /// The parts of what `reader` gives, without a byte order mark.
    ///
    /// # Errors
    /// When nothing can be read.
    pub(in crate::data) fn new(mut reader: Box<dyn BufRead>) -> io::Result<Self> {
        let mut head = vec![];
        reader
            .by_ref()
            .take(MARK.len() as u64)
            .read_to_end(&mut head)?;
        if head == MARK {
            head.clear();
        }
        Ok(Self {
            reader: Box::new(Cursor::new(head).chain(reader)),
            n_chars: 0,
        })
    }

    /// Brackets that begin here; `None` where another value does.
    ///
    /// # Errors
    /// When nothing can be read.
    pub(in crate::data) fn brackets(&mut self) -> Result<Option<Brackets>> {
        Ok(match self.peek()? {
            Some(b'[') => Some(Brackets::List),
            Some(b'{') => Some(Brackets::Object),
            _ => None,
        })
    }

    /// Goes in between the brackets that begin here.
    ///
    /// # Errors
    /// When none begin, or nothing can be read.
    pub(in crate::data) fn enter(&mut self) -> Result<()> {
        match self.brackets()? {
            Some(_) => Ok(self.consume(1)?),
            None => self.error(reason::NO_VALUE),
        }
    }

    /// Goes to the next entry between `brackets`, the first or one behind a comma, or out of them where none is left.
    ///
    /// # Errors
    /// When neither is next.
    pub(in crate::data) fn next_entry(
        &mut self,
        brackets: Brackets,
        is_first: bool,
    ) -> Result<bool> {
        let (end, comma, last) = match brackets {
            Brackets::List => (
                b']',
                reason::COMMA_OR_END_OF_LIST,
                reason::COMMA_BEHIND_LAST_ITEM,
            ),
            Brackets::Object => (
                b'}',
                reason::COMMA_OR_END_OF_OBJECT,
                reason::COMMA_BEHIND_LAST_ENTRY,
            ),
        };
        if self.peek()? == Some(end) {
            self.consume(1)?;
            return Ok(false);
        }
        if !is_first {
            self.expect(b',', comma)?;
            if self.peek()? == Some(end) {
                return self.error(last);
            }
        }
        Ok(true)
    }

    /// The key of an entry; what is next is its value.
    ///
    /// # Errors
    /// When there is no key with a colon behind it.
    pub(in crate::data) fn key(&mut self) -> Result<String> {
        if self.peek()? != Some(b'"') {
            return self.error(reason::NO_KEY);
        }
        let (key, _) = self.value()?;
        self.expect(b':', reason::NO_COLON)?;
        // Nothing is read from a key with half a surrogate pair.
        Ok(key.as_str().unwrap_or("\u{FFFD}").to_owned())
    }

    /// The next value, with the keys that stand more than once in its objects.
    ///
    /// # Errors
    /// As [`parse`].
    pub(in crate::data) fn value(&mut self) -> Result<Parsed> {
        let next = self.peek()?;
        let n_before = self.n_chars;
        let text = self.text()?;
        if text.is_empty() && next.is_some() {
            return self.error(reason::NO_VALUE);
        }
        let value = parse(&text).map_err(|error| JsonError {
            column: n_before + error.column,
            ..error
        });
        Ok(value?)
    }

    /// Goes to the end of the text.
    ///
    /// # Errors
    /// When something else is there.
    pub(in crate::data) fn end(&mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            Some(b',') => self.error(reason::COMMA_BEHIND_VALUE),
            Some(_) => self.error(reason::MORE_TEXT),
        }
    }

    /// Text of the next value, as far as brackets and quotes go.
    fn text(&mut self) -> io::Result<Vec<u8>> {
        let (mut text, mut end) = (vec![], End::default());
        loop {
            let bytes = self.buffer()?;
            let found = end.of(bytes);
            let n = found.unwrap_or(bytes.len());
            text.extend_from_slice(&bytes[..n]);
            self.consume(n)?;
            if found.is_some() || n == 0 {
                return Ok(text);
            }
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.buffer()?;
            let n = bytes
                .iter()
                .take_while(|byte| end::is_blank(**byte))
                .count();
            let next = bytes.get(n).copied();
            let is_over = bytes.is_empty();
            self.consume(n)?;
            if next.is_some() || is_over {
                return Ok(next);
            }
        }
    }

    fn expect(&mut self, byte: u8, reason: &str) -> Result<()> {
        match self.peek()? == Some(byte) {
            true => Ok(self.consume(1)?),
            false => self.error(reason),
        }
    }

    fn buffer(&mut self) -> io::Result<&[u8]> {
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(error);
            }
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, n: usize) -> io::Result<()> {
        let begins_char = |byte: &&u8| **byte & 0xC0 != 0x80;
        let n_chars = self.buffer()?[..n].iter().filter(begins_char).count();
        self.n_chars += n_chars;
        self.reader.consume(n);
        Ok(())
    }

    fn error<T>(&self, reason: &str) -> Result<T> {
        Err(StreamError::Json(JsonError {
            reason: reason.to_owned(),
            column: self.n_chars + 1,
        }))
    }
}
