//! A file of rows, line by line. Bytes, because only the JSON parser can say where in a line the
//! encoding breaks.

use std::io::{self, BufRead, ErrorKind};

use super::input::Input;
use super::{Record, RowError};
use crate::data::error::Result;
use crate::data::json::parse;

/// The lines of a file that are not blank, each as a record.
pub(super) struct Lines {
    input: Input,
    reader: Box<dyn BufRead>,
    number: usize,
    /// Whether the line before ended with `\r`, of which `\n` may be the second half.
    is_half: bool,
    is_over: bool,
}

impl Lines {
    /// Lines of the contents of `input` from the first one on.
    ///
    /// # Errors
    /// When there is no file that can be read.
    pub(super) fn of(input: &Input) -> Result<Self> {
        Ok(Self {
            input: input.clone(),
            reader: input.reader()?,
            number: 0,
            is_half: false,
            is_over: false,
        })
    }

    /// The next line that is not blank, without blanks around it and without a byte order mark.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let line = self.next_start(usize::MAX)?;
        Ok(line.map(|(line, _)| line))
    }

    /// The next line that is not blank, as [`Self::next_line`] gives it, cut behind `limit` bytes; and whether it was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn next_start(&mut self, limit: usize) -> Result<Option<(Vec<u8>, bool)>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let is_there = self.read_line(&mut line, limit);
            if !is_there.map_err(|error| self.input.error(error))? {
                return Ok(None);
            }
            self.number += 1;
            let trimmed = trimmed(&line);
            if !trimmed.is_empty() {
                return Ok(Some((trimmed.to_vec(), line.len() == limit)));
            }
        }
    }

    /// Adds the bytes up to a line's end, `limit` of them at most, to `line`, but for blanks that it begins with; says whether
    /// there were any, or an end. A line ends as in Python's text files: with `\n`, `\r\n` or `\r`, none of which JSON allows inside of a string.
    fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> io::Result<bool> {
        let mut is_begun = false;
        loop {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                bytes => bytes?,
            };
            let is_half = std::mem::take(&mut self.is_half);
            match bytes {
                [] => return Ok(is_begun),
                [b'\n', ..] if is_half => {
                    self.reader.consume(1);
                    continue;
                }
                _ => is_begun = true,
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let n = end.unwrap_or(bytes.len());
            let part = match line.is_empty() {
                true => bytes[..n].trim_ascii_start(),
                false => &bytes[..n],
            };
            line.extend_from_slice(&part[..part.len().min(limit - line.len())]);
            self.is_half = end.is_some_and(|end| bytes[end] == b'\r');
            self.reader.consume(n + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.is_over {
            return None;
        }
        let line = self.next_line().transpose()?;
        self.is_over = line.is_err();
        let value = match line {
            Ok(line) => parse(&line).map_err(RowError::from),
            Err(error) => {
                self.number += 1;
                Err(RowError::Encode(error))
            }
        };
        Some(Record {
            number: self.number,
            value,
        })
    }
}

/// A line without blanks around it, and without a byte order mark.
fn trimmed(line: &[u8]) -> &[u8] {
    without_mark(line).trim_ascii()
}

/// Bytes without the byte order mark that some editors begin a file with.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    /// A reader that gives `n` bytes at a time.
    struct Slow(io::Cursor<Vec<u8>>, usize);

    impl io::Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = buffer.len().min(self.1);
            io::Read::read(&mut self.0, &mut buffer[..n])
        }
    }

    #[test]
    fn lines_end_as_in_python_wherever_a_buffer_ends() {
        let bytes = b"a\r\n\rb\n \rc\r";
        let input = Input {
            path: "x".into(),
            bytes: Some(Bytes::new()),
        };
        for n in 1..=bytes.len() {
            let mut lines = Lines::of(&input).unwrap();
            lines.reader = Box::new(io::BufReader::new(Slow(io::Cursor::new(bytes.to_vec()), n)));
            let mut found = vec![];
            while let Some(line) = lines.next_line().unwrap() {
                found.push((lines.number, line));
            }
            let expected = [(1, b"a".to_vec()), (3, b"b".to_vec()), (5, b"c".to_vec())];
            assert_eq!(found, expected, "{n} bytes at a time");
        }
    }
}
