//! Tables as text: CSV and TSV. The first line names the columns.

mod scan;

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;
use std::rc::Rc;

use csv::{ErrorKind, Position, ReaderBuilder, StringRecord, StringRecordsIntoIter};

use super::input::Input;
use super::{Record, Records, RowError, Unit, packed, unreadable};
use crate::data::error::Result;
use crate::data::json::{Json, Object, shortened};
use scan::{Scan, Scanned};

/// Byte order mark.
const MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Records of a table whose first line is `first`.
///
/// # Errors
/// When that names no columns, or one of them twice.
pub(super) fn records(input: &Input, first: &[u8]) -> Result<Records> {
    let path = &input.path;
    let mut reader = input.reader()?;
    let head = reader.fill_buf().map_err(|error| input.error(error))?;
    let n_mark = if head.starts_with(MARK) {
        MARK.len()
    } else {
        0
    };
    reader.consume(n_mark);
    let delimiter = delimiter(path, first);
    let scan = Rc::new(RefCell::new(Scan::new(delimiter)));
    let scanned = Scanned {
        reader,
        scan: scan.clone(),
    };
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .from_reader(scanned);
    let names = reader
        .headers()
        .map_err(|error| unreadable(path, told(&error)))?
        .clone();
    check_names(path, &names)?;
    Ok(Records {
        path: path.clone(),
        unit: Unit::Line,
        items: Box::new(Table {
            names,
            records: reader.into_records(),
            scan,
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
fn delimiter(path: &Path, first: &[u8]) -> u8 {
    let name = path.to_string_lossy().to_lowercase();
    if packed::without_ending(&name).ends_with(".tsv") {
        return b'\t';
    }
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    // The last of those that are as frequent: a comma.
    *b";\t,"
        .iter()
        .max_by_key(|delimiter| count(delimiter))
        .unwrap_or(&b',')
}

struct Table {
    names: StringRecord,
    records: StringRecordsIntoIter<Scanned<Box<dyn BufRead>>>,
    scan: Rc<RefCell<Scan>>,
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
        let end = self.records.reader().position().byte();
        let mut scan = self.scan.borrow_mut();
        let number = scan.line_at(start.map_or(0, Position::byte));
        let value = match record {
            _ if scan.is_open_at(end) => {
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
        let input = Input {
            path: "table.csv".into(),
            bytes: Some(table.to_owned().into()),
        };
        let first = table.lines().next().unwrap();
        let records = records(&input, first.as_bytes()).unwrap();
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
    fn rows_are_counted_over_the_ends_of_buffers() {
        for end in ["\n", "\r\n", "\r"] {
            let row = format!("1,\"2{end}3\"{end}{end}");
            let table = format!("a,b{end}{}4,\"5", row.repeat(5000));
            let found = places(&table);
            let expected = (0..5000).map(|i| (2 + 3 * i, true));
            assert!(found.iter().copied().eq(expected.chain([(15_002, false)])));
        }
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
