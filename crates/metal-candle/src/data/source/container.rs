//! Containers, told by the bytes of a file; tables are also told by its name.

use std::path::Path;

use super::format::FileFormat;
use super::lines::{Lines, lines, without_mark};
use super::{Contents, Records, Unit, array, format, gzip, parquet, table, unreadable};
use crate::data::error::{Error, Result};
use crate::data::json::{self, Json, JsonError, parse};

/// Records of a file's contents.
///
/// # Errors
/// When they are packed and damaged, or plainly no rows. What is wrong with a single record is found when it is read.
pub(super) fn open(path: &Path, bytes: Vec<u8>) -> Result<Contents> {
    let bytes = gzip::unpacked(path, bytes)?;
    if parquet::is_one(&bytes) {
        return Ok(alone(parquet::records(path, bytes)?));
    }
    if let Some(format) = format::of(&bytes) {
        return Err(Error::NotRows {
            path: path.to_owned(),
            format,
        });
    }
    if is_table(path, &bytes) {
        return Ok(alone(table::records(path, &bytes)?));
    }
    if let Some(document) = document(path, &bytes)? {
        return Ok(document);
    }
    Ok(alone(Records {
        path: path.to_owned(),
        unit: Unit::Line,
        items: Box::new(Lines::new(bytes)),
    }))
}

fn alone(train: Records) -> Contents {
    Contents {
        train,
        valid: None,
        test: None,
    }
}

/// Whether a file is a table: its name says so, or its first line names columns.
fn is_table(path: &Path, bytes: &[u8]) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.trim_end_matches(".gz");
    let is_named = name.ends_with(".csv") || name.ends_with(".tsv");
    match lines(bytes).next() {
        None => false,
        Some((_, [b'{' | b'[', ..])) => false,
        Some((_, first)) => is_named || is_header(first),
    }
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

/// Records of one JSON document: a list, or an object that holds lists. Rows line by line are none.
fn document(path: &Path, bytes: &[u8]) -> Result<Option<Contents>> {
    let whole = || parse(without_mark(bytes));
    let mut rows = lines(bytes);
    match (rows.next(), rows.next()) {
        (Some((_, first @ [b'[', ..])), _)
            if first == b"[" || first.starts_with(b"[{") || whole().is_ok() =>
        {
            match whole() {
                Ok((Json::Array(items), _)) => Ok(Some(alone(array::records(path, items)))),
                // An error of its place in the whole document.
                Ok(_) => Ok(None),
                Err(error) => Err(unreadable(
                    path,
                    format!("the JSON list is not valid: {error}"),
                )),
            }
        }
        (Some((_, first @ [b'{', ..])), second) => {
            let is_line = parse(first).is_ok();
            match (is_line, second) {
                (true, Some(_)) => Ok(None),
                _ => object(path, whole(), (first == b"{", is_line)),
            }
        }
        _ => Ok(None),
    }
}

type Parsed = std::result::Result<json::Parsed, JsonError>;

/// Records of an object that holds lists. An object of which the first line is only the beginning is no row: that line
/// is a brace, or the document alone is valid.
fn object(
    path: &Path,
    whole: Parsed,
    (is_brace, is_line): (bool, bool),
) -> Result<Option<Contents>> {
    match whole {
        Ok((Json::Object(object), _)) if array::is_one(&object) => {
            array::contents(path, object).map(Some)
        }
        whole if is_brace || (whole.is_ok() && !is_line) => Err(Error::NotRows {
            path: path.to_owned(),
            format: FileFormat::JsonOverLines,
        }),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places and texts of the rows to train on.
    fn texts(name: &str, bytes: &[u8]) -> Vec<(usize, String)> {
        let contents = open(Path::new(name), bytes.to_vec()).unwrap();
        let text = |record: super::super::Record| {
            let (value, _) = record.value.unwrap();
            (
                record.number,
                value.get("text").unwrap().as_str().unwrap().to_owned(),
            )
        };
        contents.train.items.map(text).collect()
    }

    fn error(bytes: &[u8]) -> String {
        open(Path::new("train.jsonl"), bytes.to_vec())
            .err()
            .unwrap()
            .to_string()
    }

    #[test]
    fn rows_come_out_of_every_container() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        let cases: [(&str, &[u8], [usize; 2]); 10] = [
            ("x", b"{\"text\": \"a\"}\n\n{\"text\": \"b\"}\n", [1, 3]),
            ("x", b"[{\"text\": \"a\"}, {\"text\": \"b\"}]", [1, 2]),
            ("x", b"[{\"text\": \"a\"},\n{\"text\": \"b\"}]", [1, 2]),
            (
                "x",
                b"\xEF\xBB\xBF[\n {\"text\": \"a\"},\n {\"text\": \"b\"}\n]",
                [1, 2],
            ),
            (
                "x",
                b"{\"data\": [{\"text\": \"a\"}, {\"text\": \"b\"}]}",
                [1, 2],
            ),
            (
                "x",
                b"{\n\"train\": [{\"text\": \"a\"}, {\"text\": \"b\"}], \"v\": 1\n}",
                [1, 2],
            ),
            ("x", b"\xEF\xBB\xBF\"text\"\t\"id\"\na\t1\nb\t2\n", [2, 3]),
            ("x", b"text,id\r\na,1\r\nb,2\r\n", [2, 3]),
            ("x.csv", b"text\na\n\"b\"\n", [2, 3]),
            ("x.tsv", b"text\tc,d\na\t1\nb\t2\n", [2, 3]),
        ];
        for (name, bytes, [first, second]) in cases {
            let expected = [(first, a.clone()), (second, b.clone())];
            assert_eq!(
                texts(name, bytes),
                expected,
                "{}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn an_object_holds_splits() {
        let text = b"{\"train\": [{\"text\": \"a\"}], \"validation\": [{\"text\": \"b\"}, {\"text\": \"c\"}]}";
        let contents = open(Path::new("x.json"), text.to_vec()).unwrap();
        assert_eq!(contents.train.items.count(), 1);
        assert_eq!(contents.valid.unwrap().items.count(), 2);
        assert!(contents.test.is_none());
    }

    #[test]
    fn jsonl_is_told_from_documents() {
        let cases: [(&[u8], usize); 5] = [
            (b"{\"text\": \"a\"}", 1),
            (b"{\"text\": \"a\n{\"text\": \"b\"}\n", 2),
            (b"[1]\n{\"text\": \"b\"}\n", 2),
            (
                b"plain words, and more of them than a header has: no table\n",
                1,
            ),
            (b"", 0),
        ];
        for (bytes, n) in cases {
            let contents = open(Path::new("x"), bytes.to_vec()).unwrap();
            assert_eq!(contents.train.items.count(), n, "{bytes:?}");
        }
    }

    #[test]
    fn damaged_files_are_named() {
        assert!(
            error(b"\x1f\x8b\x08\0\0").contains("train.jsonl: the gzip file is damaged or cut")
        );
        assert!(error(b"PAR1\x15\x04").contains("the Parquet file cannot be read"));
        assert!(error(b"{\n  \"text\": \"a\"\n}\n").contains("over several lines"));
        assert!(error(b"{\"a\": [\n1], \"text\": \"a\"\n}\n").contains("over several lines"));
        assert!(error(b"{\n\"a\": 1\n}\n{\n\"a\": 1\n}\n").contains("over several lines"));
        assert!(
            error(b"[{\"text\": \"a\"},\n{\"text\": }]").contains("the JSON list is not valid")
        );
        assert!(error(b"text,text\na,b\n").contains("two columns of the table are named \"text\""));
    }
}
