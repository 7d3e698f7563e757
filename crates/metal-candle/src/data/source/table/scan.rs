//! State of a table's text that its reader does not tell: on which line a record begins, and whether the text ends in a quote.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::rc::Rc;

/// State of the bytes that were read until now.
#[derive(Debug)]
pub(super) struct Scan {
    delimiter: u8,
    n_bytes: u64,
    /// Line ends that no record was found to be behind.
    line_ends: VecDeque<Range<u64>>,
    /// Whether the last byte is `\r`, of which `\n` may be the second half.
    is_half: bool,
    /// Line of the last record.
    line: usize,
    /// Whether a field begins next.
    is_start: bool,
    is_quoted: bool,
    /// Whether the last byte is a quote that ends a field, or is the first of two that are text.
    was_quote: bool,
}

impl Scan {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            n_bytes: 0,
            line_ends: VecDeque::new(),
            is_half: false,
            line: 1,
            is_start: true,
            is_quoted: false,
            was_quote: false,
        }
    }

    /// Line of the record that begins at `byte`, or behind the line ends there; records are asked for in their order. The
    /// reader's own count takes the second byte of a Windows line end for a part of the record behind it, and does not know
    /// a line end without one.
    pub(super) fn line_at(&mut self, byte: u64) -> usize {
        let mut at = byte;
        while let Some(end) = self.line_ends.front().filter(|end| end.start <= at) {
            at = at.max(end.end);
            self.line += 1;
            self.line_ends.pop_front();
        }
        self.line
    }

    /// Whether a record that ends at `byte` is the last one, as a quote in it is not closed. To the reader it is a field
    /// that ends with the file. Quotes inside of other fields are text.
    pub(super) fn is_open_at(&self, byte: u64) -> bool {
        self.is_quoted && byte >= self.n_bytes
    }

    fn take(&mut self, byte: u8) {
        match byte {
            b'\n' if self.is_half => {
                if let Some(end) = self.line_ends.back_mut() {
                    end.end += 1;
                }
            }
            b'\n' | b'\r' => self.line_ends.push_back(self.n_bytes..self.n_bytes + 1),
            _ => {}
        }
        self.is_half = byte == b'\r';
        let was_quote = std::mem::take(&mut self.was_quote);
        match (self.is_quoted, byte) {
            (true, b'"') => (self.is_quoted, self.was_quote) = (false, true),
            (false, b'"') => self.is_quoted = self.is_start || was_quote,
            _ => {}
        }
        let is_end = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        self.is_start = !self.is_quoted && is_end;
        self.n_bytes += 1;
    }
}

/// Reader whose bytes are looked at as they go by.
pub(super) struct Scanned<R> {
    pub(super) reader: R,
    pub(super) scan: Rc<RefCell<Scan>>,
}

impl<R: Read> Read for Scanned<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        let mut scan = self.scan.borrow_mut();
        buffer[..n].iter().for_each(|byte| scan.take(*byte));
        Ok(n)
    }
}
