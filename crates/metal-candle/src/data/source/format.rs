//! Files that are given as rows and are something else.

use std::fmt;

/// Format of a file that holds no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Text in 16 bits a character.
    Utf16,
    /// A compressed file.
    Bzip2,
    /// A compressed file.
    Xz,
    /// An archive.
    Zip,
    /// A table in columns.
    Arrow,
    /// A database.
    Sqlite,
    /// An object over several lines that holds no list of rows.
    JsonOverLines,
    /// What Git keeps in place of a large file.
    LfsPointer,
    /// A page of the web.
    Html,
    /// Text that is no JSON.
    PlainText,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf16 => "a text in UTF-16",
            Self::Bzip2 => "a bzip2 file",
            Self::Xz => "an xz file",
            Self::Zip => "a zip archive",
            Self::Arrow => "an Arrow file",
            Self::Sqlite => "an SQLite database",
            Self::JsonOverLines => "one JSON object spread over several lines, or several of them",
            Self::LfsPointer => "a Git LFS pointer, not the file it stands for",
            Self::Html => "an HTML page",
            Self::PlainText => "plain text",
        })
    }
}

const MAGIC: [(&[u8], FileFormat); 11] = [
    (b"\xFF\xFE", FileFormat::Utf16),
    (b"\xFE\xFF", FileFormat::Utf16),
    (b"BZh", FileFormat::Bzip2),
    (b"\xFD7zXZ", FileFormat::Xz),
    (b"PK\x03\x04", FileFormat::Zip),
    (b"ARROW1", FileFormat::Arrow),
    // Its stream, which `datasets` saves.
    (b"\xFF\xFF\xFF\xFF", FileFormat::Arrow),
    (b"SQLite format 3", FileFormat::Sqlite),
    (b"version https://git-lfs", FileFormat::LfsPointer),
    (b"<!DOCTYPE", FileFormat::Html),
    (b"<html", FileFormat::Html),
];

/// What the bytes of a file plainly are; `None` where they may be rows.
pub(super) fn of(bytes: &[u8]) -> Option<FileFormat> {
    let magic = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic));
    let format = magic.map(|(_, format)| *format);
    format.or_else(|| is_utf16(bytes).then_some(FileFormat::Utf16))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn files_that_hold_no_rows() {
        let row = "{\"text\": \"ab\"}\n";
        let marked = format!("\u{FEFF}{row}");
        let cases = [
            (utf16(&marked, u16::to_le_bytes), FileFormat::Utf16),
            (utf16(&marked, u16::to_be_bytes), FileFormat::Utf16),
            (utf16(row, u16::to_le_bytes), FileFormat::Utf16),
            (utf16(row, u16::to_be_bytes), FileFormat::Utf16),
            (b"PK\x03\x04\x14".to_vec(), FileFormat::Zip),
            (b"ARROW1\0\0".to_vec(), FileFormat::Arrow),
            (b"\xFF\xFF\xFF\xFF\x10\x01\0\0".to_vec(), FileFormat::Arrow),
            (
                b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
                FileFormat::LfsPointer,
            ),
            (b"<!DOCTYPE html>\n".to_vec(), FileFormat::Html),
        ];
        for (bytes, expected) in cases {
            assert_eq!(of(&bytes), Some(expected), "{bytes:?}");
        }
        for rows in [&b"{\"text\": \"a\"}\n"[..], b"text,label\n", b"[1]", b""] {
            assert_eq!(of(rows), None, "{rows:?}");
        }
    }
}
