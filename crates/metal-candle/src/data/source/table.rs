//! Tables as text: CSV and TSV. The first line names the columns.

use std::collections::HashSet;
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
            delimiter,
            lines: LineCounter::new(bytes),
            is_over: false,
        }),
    })
}

fn check_names(path: &Path, names: &StringRecord) -> Result<()> {
    let mut seen = HashSet::new();
    let twice = names.iter().map(str::trim).find(|name| !seen.insert(*name));
    match twice {
        None => Ok(()),
        Some(name) => {
            let name = shortened(name);
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
    delimiter: u8,
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
        let start = start.map_or(0, csv::Position::byte);
        let number = self.lines.at(start);
        let value = match record {
            _ if self.is_open(start) => {
                self.is_over = true;
                let reason = "a quote that is opened in this row is closed nowhere, so that all that follows is in it";
                Err(RowError::Record(reason.into()))
            }
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

impl Table {
    /// Whether the record that begins at `start` is the last one, as a quote in it is not closed. To the reader it is a
    /// field that ends with the file.
    fn is_open(&self, start: u64) -> bool {
        let bytes = &self.lines.bytes;
        let is_last = self.records.reader().position().byte() >= bytes.len() as u64;
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let record = bytes.get(start..).filter(|_| is_last);
        record.is_some_and(|record| ends_in_quotes(record, self.delimiter))
    }
}

/// Whether a field that begins with a quote is not ended by one. Quotes inside of other fields are text.
fn ends_in_quotes(record: &[u8], delimiter: u8) -> bool {
    let (mut is_start, mut is_quoted) = (true, false);
    let mut bytes = record.iter().peekable();
    while let Some(&byte) = bytes.next() {
        match (is_quoted, byte) {
            (true, b'"') => is_quoted = bytes.next_if_eq(&&b'"').is_some(),
            (false, b'"') => is_quoted = is_start,
            _ => {}
        }
        is_start = !is_quoted && (byte == delimiter || matches!(byte, b'\n' | b'\r'));
    }
    is_quoted
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of the rows, and of the one that cannot be read.
    fn places(table: &str) -> Vec<(usize, bool)> {
        let records = records(Path::new("table.csv"), table.as_bytes()).unwrap();
        let place = |record: Record| (record.number, record.value.is_ok());
        records.items.map(place).collect()
    }

    #[test]
    fn a_quote_that_is_not_closed_swallows_nothing() {
        assert_eq!(places("a,b\n1,\"2\n3,4\n"), [(2, false)]);
        assert_eq!(places("a,b\n1,2\n\"3,4\n5,6\n"), [(2, true), (3, false)]);
        assert_eq!(places("a,b\r\n1,2\r\n3,\"\"\"4"), [(2, true), (3, false)]);
    }

    #[test]
    fn closed_quotes_and_those_in_a_field_are_text() {
        let tables = [
            "a,b\n1,\"2\n3\"\n",
            "a,b\n1,\"2\"",
            "a,b\n1,\"\"\n",
            "a,b\n1,\"2\"\"\"\n",
            "a,b\n1,5\" pipe\n",
            "a,b\n1,\"2\"3\"\n",
            "a,b\r\n1,\"2\"\r\n",
        ];
        for table in tables {
            assert_eq!(places(table), [(2, true)], "{table}");
        }
    }
}
