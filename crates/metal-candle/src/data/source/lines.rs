//! A file of rows, line by line. Bytes, because only the JSON parser can say where in a line the
//! encoding breaks.

use super::{Record, RowError};
use crate::data::json::parse;

/// The lines of a file that are not blank, each as a record.
pub(super) struct Lines {
    bytes: Vec<u8>,
    at: Option<usize>,
    number: usize,
}

impl Lines {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            at: Some(0),
            number: 0,
        }
    }
}

impl Iterator for Lines {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let rest = self.bytes.get(self.at?..)?;
            let (line, behind) = split_line(rest);
            self.number += 1;
            self.at = behind.map(|behind| self.bytes.len() - behind.len());
            let line = trimmed(line);
            if !line.is_empty() {
                return Some(Record {
                    number: self.number,
                    value: parse(line).map_err(RowError::from),
                });
            }
        }
    }
}

/// The lines that are not blank, with their numbers from 1. A line ends as in Python's text files:
/// with `\n`, `\r\n` or `\r`, none of which JSON allows inside of a string.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(bytes);
    let lines = std::iter::from_fn(move || {
        let (line, behind) = split_line(rest?);
        rest = behind;
        Some(line)
    });
    (1..)
        .zip(lines.map(trimmed))
        .filter(|(_, line)| !line.is_empty())
}

/// The first line, and what is behind its end if it has one.
fn split_line(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
        return (bytes, None);
    };
    let behind = match bytes[end..] {
        [b'\r', b'\n', ..] => end + 2,
        _ => end + 1,
    };
    (&bytes[..end], Some(&bytes[behind..]))
}

/// A line without blanks around it, and without a byte order mark.
fn trimmed(line: &[u8]) -> &[u8] {
    without_mark(line).trim_ascii()
}

/// Bytes without the byte order mark that some editors begin a file with.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_python() {
        let rows: Vec<(usize, &[u8])> = lines(b"a\r\n\rb\n \rc\r").collect();
        assert_eq!(rows, [(1, &b"a"[..]), (3, b"b"), (5, b"c")]);
        let records = Lines::new(b"1\r\n\r2\n \r3\r".to_vec());
        let numbers: Vec<usize> = records.map(|record| record.number).collect();
        assert_eq!(numbers, [1, 3, 5]);
    }
}
