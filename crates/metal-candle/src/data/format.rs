//! Files that are given as JSONL and are something else.

use std::fmt;
use std::path::Path;

use super::error::{Error, Result};
use super::json::{Json, parse};
use super::lines::Lines;

/// Format of a file that is not JSONL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Text in 16 bits a character.
    Utf16,
    /// A compressed file.
    Gzip,
    /// A compressed file.
    Zstandard,
    /// A compressed file.
    Bzip2,
    /// A compressed file.
    Xz,
    /// An archive.
    Zip,
    /// A table in columns.
    Parquet,
    /// A table in columns.
    Arrow,
    /// A database.
    Sqlite,
    /// A table as text, with commas, semicolons or tabs between the columns.
    Csv,
    /// All rows in one list.
    JsonArray,
    /// An object over several lines.
    JsonOverLines,
    /// What Git keeps in place of a large file.
    LfsPointer,
    /// A page of the web.
    Html,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "a text in UTF-16",
            Self::Gzip => "a gzip file",
            Self::Zstandard => "a Zstandard file",
            Self::Bzip2 => "a bzip2 file",
            Self::Xz => "an xz file",
            Self::Zip => "a zip archive",
            Self::Parquet => "a Parquet file",
            Self::Arrow => "an Arrow file",
            Self::Sqlite => "an SQLite database",
            Self::Csv => "a table (CSV or TSV)",
            Self::JsonArray => "a JSON array",
            Self::JsonOverLines => "JSON spread over several lines",
            Self::LfsPointer => "a Git LFS pointer, not the file it stands for",
            Self::Html => "an HTML page",
        })
    }
}

const MAGIC: [(&[u8], FileFormat); 13] = [
    (b"\xFF\xFE", FileFormat::Utf16),
    (b"\xFE\xFF", FileFormat::Utf16),
    (b"\x1F\x8B", FileFormat::Gzip),
    (b"\x28\xB5\x2F\xFD", FileFormat::Zstandard),
    (b"BZh", FileFormat::Bzip2),
    (b"\xFD7zXZ", FileFormat::Xz),
    (b"PK\x03\x04", FileFormat::Zip),
    (b"PAR1", FileFormat::Parquet),
    (b"ARROW1", FileFormat::Arrow),
    (b"SQLite format 3", FileFormat::Sqlite),
    (b"version https://git-lfs", FileFormat::LfsPointer),
    (b"<!DOCTYPE", FileFormat::Html),
    (b"<html", FileFormat::Html),
];

/// Refuses a file that is plainly of another format; what is wrong with a single line is found when
/// the line is read.
pub(super) fn check(path: &Path, lines: &Lines) -> Result<()> {
    match of(lines) {
        None => Ok(()),
        Some(format) => Err(Error::NotJsonl {
            path: path.to_owned(),
            format,
        }),
    }
}

fn of(lines: &Lines) -> Option<FileFormat> {
    let bytes = lines.bytes();
    let magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((_, format)) = magic {
        return Some(*format);
    }
    if is_utf16(bytes) {
        return Some(FileFormat::Utf16);
    }
    let (_, first) = lines.rows().next()?;
    match first {
        [b'{', .., b'}'] => None,
        [b'{', ..] => is_spread(lines, first).then_some(FileFormat::JsonOverLines),
        [b'[', ..] => is_array(lines, first).then_some(FileFormat::JsonArray),
        _ => is_header(first).then_some(FileFormat::Csv),
    }
}

/// Without a byte order mark: every other byte is 0 where the text is mostly ASCII.
fn is_utf16(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(64) & !1];
    let zeros = |offset: usize| {
        let every_other = start.iter().skip(offset).step_by(2);
        every_other.filter(|byte| **byte == 0).count()
    };
    start.len() >= 4 && zeros(0).max(zeros(1)) * 4 > start.len()
}

fn is_spread(lines: &Lines, first: &[u8]) -> bool {
    let whole = || parse(without_mark(lines.bytes()));
    first == b"{" || (parse(first).is_err() && whole().is_ok())
}

fn is_array(lines: &Lines, first: &[u8]) -> bool {
    let whole = || parse(without_mark(lines.bytes()));
    first == b"[" || first.starts_with(b"[{") || matches!(whole(), Ok((Json::Array(_), _)))
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes)
}

/// Whether a line names columns: short words between commas, semicolons or tabs.
fn is_header(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else {
        return false;
    };
    let is_name = |name: &str| {
        let name = name.trim().trim_matches('"');
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.');
        name.len() <= 40 && name.chars().all(is_word)
    };
    let are_names = |separator| {
        let mut names = line.split(separator);
        names.clone().count() > 1 && names.all(is_name)
    };
    [',', '\t', ';'].into_iter().any(are_names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(bytes: &[u8]) -> Option<FileFormat> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        std::fs::write(&path, bytes).unwrap();
        match Lines::read(&path) {
            Ok(_) => None,
            Err(Error::NotJsonl { format, .. }) => Some(format),
            Err(other) => panic!("{other}"),
        }
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn files_that_are_no_jsonl() {
        let row = "{\"text\": \"ab\"}\n";
        let cases = [
            (
                utf16(&format!("\u{FEFF}{row}"), u16::to_le_bytes),
                FileFormat::Utf16,
            ),
            (
                utf16(&format!("\u{FEFF}{row}"), u16::to_be_bytes),
                FileFormat::Utf16,
            ),
            (utf16(row, u16::to_le_bytes), FileFormat::Utf16),
            (utf16(row, u16::to_be_bytes), FileFormat::Utf16),
            (b"\x1f\x8b\x08\0\0".to_vec(), FileFormat::Gzip),
            (b"PK\x03\x04\x14".to_vec(), FileFormat::Zip),
            (b"PAR1\x15\x04".to_vec(), FileFormat::Parquet),
            (b"text,label\nhello,1\n".to_vec(), FileFormat::Csv),
            (
                b"\xEF\xBB\xBF\"prompt\"\t\"completion\"\na\tb\n".to_vec(),
                FileFormat::Csv,
            ),
            (
                b"[{\"text\": \"a\"}, {\"text\": \"b\"}]".to_vec(),
                FileFormat::JsonArray,
            ),
            (
                b"[{\"text\": \"a\"},\n{\"text\": \"b\"}]".to_vec(),
                FileFormat::JsonArray,
            ),
            (
                b"\xEF\xBB\xBF[\n  {\"text\": \"a\"}\n]".to_vec(),
                FileFormat::JsonArray,
            ),
            (
                b"{\n  \"text\": \"a\"\n}\n".to_vec(),
                FileFormat::JsonOverLines,
            ),
            (
                b"{\"a\": [\n1], \"text\": \"a\"\n}\n".to_vec(),
                FileFormat::JsonOverLines,
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                FileFormat::LfsPointer,
            ),
            (b"<!DOCTYPE html>\n".to_vec(), FileFormat::Html),
        ];
        for (bytes, expected) in cases {
            assert_eq!(format(&bytes), Some(expected), "{bytes:?}");
        }
    }

    #[test]
    fn jsonl_is_told_from_them() {
        let cases: [&[u8]; 6] = [
            b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n",
            b"\xEF\xBB\xBF{\"text\": \"a\"}",
            b"{\"text\": \"a\n{\"text\": \"b\"}\n",
            b"[1]\n{\"text\": \"b\"}\n",
            b"plain words, and more of them than a header has: no table\n",
            b"",
        ];
        for bytes in cases {
            assert_eq!(format(bytes), None, "{bytes:?}");
        }
    }
}
