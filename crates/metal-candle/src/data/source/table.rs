//! Tables as text: CSV and TSV. The first line names the columns.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use csv::{ErrorKind, ReaderBuilder, StringRecord, StringRecordsIntoIter};

use super::lines::without_mark;
use super::{Record, Records, RowError, Unit, unreadable};
use crate::data::error::Result;
use crate::data::json::{Json, Object, shortened};

/// Records of a table.
///
/// # Errors
/// When its first line names no columns, or one of them twice.
pub(super) fn records(path: &Path, bytes: &[u8]) -> Result<Records> {
    let bytes: Arc<[u8]> = without_mark(bytes).into();
    let delimiter = delimiter(path, &bytes);
    let mut builder = ReaderBuilder::new();
    let mut reader = builder
        .delimiter(delimiter)
        .from_reader(Cursor::new(bytes.clone()));
    let names = reader
        .headers()
        .map_err(|error| unreadable(path, told(&error)))?
        .clone();
    check_names(path, &names)?;
    Ok(Records {
        path: path.to_owned(),
        unit: Unit::Line,
        items: Box::new(Table {
            names,
            records: reader.into_records(),
            lines: LineCounter::new(bytes),
            is_over: false,
        }),
    })
}

fn check_names(path: &Path, names: &StringRecord) -> Result<()> {
    let names: Vec<&str> = names.iter().map(str::trim).collect();
    let twice = (1..names.len()).find(|i| names[..*i].contains(&names[*i]));
    match twice {
        None => Ok(()),
        Some(i) => {
            let name = shortened(names[i]);
            Err(unreadable(
                path,
                format!("two columns of the table are named \"{name}\""),
            ))
        }
    }
}

/// What stands between columns: a tab in a file that is named so, or else the most frequent of the usual ones in the
/// first line.
fn delimiter(path: &Path, bytes: &[u8]) -> u8 {
    let name = path.to_string_lossy().to_lowercase();
    if name.trim_end_matches(".gz").ends_with(".tsv") {
        return b'\t';
    }
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    let first = &bytes[..end.unwrap_or(bytes.len())];
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    // The last of those that are as frequent: a comma.
    *b";\t,"
        .iter()
        .max_by_key(|delimiter| count(delimiter))
        .unwrap_or(&b',')
}

struct Table {
    names: StringRecord,
    records: StringRecordsIntoIter<Cursor<Arc<[u8]>>>,
    lines: LineCounter,
    is_over: bool,
}

impl Iterator for Table {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.is_over {
            return None;
        }
        let record = self.records.next()?;
        let start = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        let number = self.lines.at(start.map_or(0, csv::Position::byte));
        let value = match record {
            Ok(record) => {
                let fields = self.names.iter().zip(&record);
                let fields = fields.map(|(name, text)| (name.trim().to_owned(), Json::from(text)));
                Ok((Json::Object(Object::from_iter(fields)), Vec::new()))
            }
            Err(error) => {
                self.is_over = true;
                Err(RowError::Record(told(&error)))
            }
        };
        Some(Record { number, value })
    }
}

/// Counter of lines up to places that only go forward. The reader's own count takes the second byte of a Windows line end
/// for a part of the record behind it, and does not know a line end without one.
struct LineCounter {
    bytes: Arc<[u8]>,
    at: usize,
    line: usize,
}

impl LineCounter {
    fn new(bytes: Arc<[u8]>) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// Line of the record that begins at `byte`, or behind the line ends there.
    fn at(&mut self, byte: u64) -> usize {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(here) = self.bytes.get(self.at) {
            let is_end = match here {
                b'\n' => true,
                b'\r' => self.bytes.get(self.at + 1) != Some(&b'\n'),
                _ if self.at >= byte => break,
                _ => false,
            };
            self.line += usize::from(is_end);
            self.at += 1;
        }
        self.line
    }
}

fn told(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("expected {expected_len} columns as in the first line, got {len}")
        }
        ErrorKind::Utf8 { err, .. } => format!("column {} is no UTF-8", err.field() + 1),
        _ => error.to_string(),
    }
}
