//! Parquet files, the tables of Hugging Face's hub.

mod pages;

use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};

use super::input::{Input, Raw};
use super::{Record, Records, RowError, Unit, unreadable};
use crate::data::error::Result;
use crate::data::json::{Json, Object};

/// Beginning and end of a file.
const MAGIC: &[u8] = b"PAR1";

/// Whether bytes begin as such a file.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Records of a file.
///
/// # Errors
/// When its description cannot be read.
pub(super) fn records(input: &Input) -> Result<Records> {
    let path = &input.path;
    let reader = match input.raw()? {
        _ if input.is_packed()? => reader(path, input.whole()?),
        Raw::File(file) => reader(path, file),
        Raw::Bytes(bytes) => reader(path, bytes),
    }?;
    let schema = reader.metadata().file_metadata().schema();
    if schema.get_fields().is_empty() {
        return Err(unreadable(path, "the Parquet file has no columns"));
    }
    Ok(Records {
        path: path.clone(),
        unit: Unit::Row,
        items: Box::new(Table {
            rows: RowIter::from_file_into(reader),
            number: 0,
            is_over: false,
        }),
    })
}

/// Reader of a table, of which no more than some pages of each column are in memory.
fn reader(path: &Path, contents: impl ChunkReader + 'static) -> Result<Box<dyn FileReader>> {
    match pages::Reader::new(contents) {
        Ok(reader) => Ok(Box::new(reader)),
        Err(error) => {
            let reason = format!("the Parquet file cannot be read: {error}");
            Err(unreadable(path, reason))
        }
    }
}

struct Table {
    rows: RowIter<'static>,
    number: usize,
    is_over: bool,
}

impl Iterator for Table {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.is_over {
            return None;
        }
        let row = self.rows.next()?;
        self.number += 1;
        self.is_over = row.is_err();
        Some(Record {
            number: self.number,
            value: match row {
                Ok(row) => Ok((object(&row), Vec::new())),
                Err(error) => Err(RowError::Record(told(&error))),
            },
        })
    }
}

/// The reader's error of a string shows all of its bytes.
fn told(error: &ParquetError) -> String {
    match error.to_string() {
        text if text.contains("BYTE_ARRAY as String") => {
            "a string of this row, or of one behind it, is no UTF-8".to_owned()
        }
        text => text,
    }
}

fn object(row: &Row) -> Json {
    let columns = row.get_column_iter();
    Json::Object(
        columns
            .map(|(name, field)| (name.clone(), json(field)))
            .collect(),
    )
}

fn json(field: &Field) -> Json {
    match field {
        Field::Null => Json::Null,
        Field::Bool(flag) => Json::Bool(*flag),
        Field::Byte(n) => Json::Int((*n).into()),
        Field::Short(n) => Json::Int((*n).into()),
        Field::Int(n) => Json::Int((*n).into()),
        Field::Long(n) => Json::Int((*n).into()),
        Field::UByte(n) => Json::Int((*n).into()),
        Field::UShort(n) => Json::Int((*n).into()),
        Field::UInt(n) => Json::Int((*n).into()),
        Field::ULong(n) => Json::Int((*n).into()),
        Field::Float16(x) => Json::Float(f64::from(*x)),
        Field::Float(x) => Json::Float((*x).into()),
        Field::Double(x) => Json::Float(*x),
        Field::Str(text) => Json::from(text.as_str()),
        // Some writers do not say that their texts are text.
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Json::from(text),
            Err(_) => Json::Bytes,
        },
        Field::Group(row) => object(row),
        Field::ListInternal(list) => Json::Array(list.elements().iter().map(json).collect()),
        Field::MapInternal(map) => {
            let entries = map
                .entries()
                .iter()
                .map(|(key, value)| (name(key), json(value)));
            Json::Object(Object::from_iter(entries))
        }
        // Dates, times and decimals: as they are written.
        other => Json::from(other.to_string()),
    }
}

fn name(key: &Field) -> String {
    match key {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::json::parse;
    use bytes::Bytes;
    use std::path::PathBuf;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/rows")
            .join(name)
    }

    #[test]
    fn rows_are_those_that_pyarrow_reads() {
        for name in [
            "alpaca", "gsm8k", "messages", "sharegpt", "types", "zstd_1", "zstd_2",
        ] {
            let path = golden(&format!("{name}.parquet"));
            let input = Input {
                path: path.clone(),
                bytes: None,
            };
            let rows = records(&input).unwrap().items;
            let rows: Vec<Json> = rows.map(|record| record.value.unwrap().0).collect();
            let expected = std::fs::read_to_string(golden(&format!("{name}.jsonl"))).unwrap();
            let expected: Vec<Json> = expected
                .lines()
                .map(|line| parse(line.as_bytes()).unwrap().0)
                .collect();
            assert_eq!(rows, expected, "{name}");
        }
    }

    #[test]
    fn texts_that_are_no_utf_8_are_told_by_their_row() {
        let read = |name: &str| {
            let input = Input {
                path: golden(name),
                bytes: None,
            };
            let records = records(&input).unwrap().items;
            records
                .map(|record| record.value.map(|(row, _)| row))
                .collect::<Vec<_>>()
        };
        let text = |row: &Json| row.get("text").cloned();
        let [plain, other] = &read("latin1_binary.parquet")[..] else {
            panic!("two rows");
        };
        assert_eq!(
            plain.as_ref().ok().and_then(text),
            Some(Json::from("plain"))
        );
        assert_eq!(other.as_ref().ok().and_then(text), Some(Json::Bytes));
        let [plain, other] = &read("latin1_string.parquet")[..] else {
            panic!("two rows");
        };
        assert_eq!(
            plain.as_ref().ok().and_then(text),
            Some(Json::from("plain"))
        );
        let error = other.as_ref().unwrap_err().to_string();
        assert!(
            error.contains("no UTF-8") && !error.contains("99"),
            "{error}"
        );
    }

    #[test]
    fn no_cut_file_is_read_as_a_whole_one() {
        for name in ["gsm8k.parquet", "zstd_1.parquet", "zstd_2.parquet"] {
            no_cut_is_whole(&golden(name));
        }
    }

    fn no_cut_is_whole(path: &Path) {
        let bytes = std::fs::read(path).unwrap();
        for n in (4..bytes.len()).step_by(97) {
            let read = records(&Input {
                path: path.to_owned(),
                bytes: Some(Bytes::copy_from_slice(&bytes[..n])),
            });
            let rows = read.map(|records| {
                records
                    .items
                    .map(|record| record.value.is_ok())
                    .collect::<Vec<_>>()
            });
            assert!(
                rows.is_err() || rows.is_ok_and(|rows| rows.contains(&false)),
                "{n} bytes"
            );
        }
    }
}
