//! A file of rows, line by line. Bytes, because only the JSON parser can say where in a line the
//! encoding breaks.

use std::path::Path;

use super::error::Result;
use super::format;
use crate::files;

/// The contents of a file of rows.
pub(super) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is plainly of another format.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = files::read_bytes(path)?;
        let lines = Self { bytes };
        format::check(path, &lines)?;
        Ok(lines)
    }

    /// All of the file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The lines that are not blank, with their numbers from 1. A line ends as in Python's text
    /// files: with `\n`, `\r\n` or `\r`, none of which JSON allows inside of a string.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut rest = Some(&*self.bytes);
        let lines = std::iter::from_fn(move || {
            let (line, behind) = split_line(rest?);
            rest = behind;
            Some(line)
        });
        (1..)
            .zip(lines.map(without_mark))
            .filter(|(_, line)| !line.is_empty())
    }
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

/// A line without blanks around it, and without the byte order mark that some editors begin a file
/// with.
fn without_mark(line: &[u8]) -> &[u8] {
    let mark = "\u{FEFF}".as_bytes();
    line.strip_prefix(mark).unwrap_or(line).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_in_python() {
        let lines = Lines {
            bytes: b"a\r\n\rb\n \rc\r".to_vec(),
        };
        let rows: Vec<(usize, &[u8])> = lines.rows().collect();
        assert_eq!(rows, [(1, &b"a"[..]), (3, b"b"), (5, b"c")]);
    }
}
