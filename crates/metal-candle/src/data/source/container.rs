//! Containers, told by the bytes of a file; tables are also told by its name.

use std::path::Path;

use super::document::{self, Document, Whole, whole};
use super::format::FileFormat;
use super::input::Input;
use super::later::later;
use super::lines::Lines;
use super::{Contents, Records, Unit, format, packed, parquet, table, unreadable};
use crate::data::error::{Error, Result};
use crate::data::json::{JsonError, parse};

/// Bytes that show what a file is.
const HEAD_BYTES: u64 = 64;

/// Bytes of a first line that are looked at where the line is all there is: a document may be one line.
const LINE_BYTES: usize = 1 << 20;

/// Records of a file's contents. Lines and tables are read as their records are asked for; a JSON document is read
/// twice, value by value.
///
/// # Errors
/// When they are packed and damaged, or plainly no rows. What is wrong with a single record is found when it is read.
pub(super) fn open(input: &Input) -> Result<Contents> {
    let own = input.clone();
    let head = input.head(HEAD_BYTES)?;
    if parquet::is_one(&head) {
        return later(move || parquet::records(&own)).map(alone);
    }
    if let Some(format) = format::of(&head) {
        return Err(Error::NotRows {
            path: input.path.clone(),
            format,
        });
    }
    if let Some((first, is_alone)) = first_line(input)? {
        if is_text(&input.path, &first) {
            return Err(Error::NotRows {
                path: input.path.clone(),
                format: FileFormat::PlainText,
            });
        }
        if is_table(&input.path, &first) {
            return later(move || table::records(&own, &first)).map(alone);
        }
        if let Some(contents) = json(input, &first, is_alone)? {
            return Ok(contents);
        }
    }
    later(move || line_by_line(&own)).map(alone)
}

/// The first line that is not blank, and whether no other follows. One that is alone may be cut.
fn first_line(input: &Input) -> Result<Option<(Vec<u8>, bool)>> {
    let mut lines = Lines::of(input)?;
    let Some((first, is_cut)) = lines.next_start(LINE_BYTES)? else {
        return Ok(None);
    };
    let is_alone = lines.next_start(1)?.is_none();
    match is_cut && !is_alone {
        true => Ok(Lines::of(input)?.next_line()?.map(|first| (first, false))),
        false => Ok(Some((first, is_alone))),
    }
}

fn line_by_line(input: &Input) -> Result<Records> {
    Ok(Records {
        path: input.path.clone(),
        unit: Unit::Line,
        items: Box::new(Lines::of(input)?),
    })
}

fn alone(train: Records) -> Contents {
    Contents {
        train,
        valid: None,
        test: None,
    }
}

/// Whether a file is a table: its name says so, or its first line names columns.
fn is_table(path: &Path, first: &[u8]) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = packed::without_ending(&name);
    let is_named = name.ends_with(".csv") || name.ends_with(".tsv");
    !matches!(first, [b'{' | b'[', ..]) && (is_named || is_header(first))
}

/// Whether a file is text, as its name says and its first line does not deny.
fn is_text(path: &Path, first: &[u8]) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let is_named = [".txt", ".md"].iter().any(|ending| name.ends_with(ending));
    is_named && !matches!(first, [b'{' | b'[', ..])
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

/// Records of one JSON document: a list, or an object that holds lists. Rows line by line are none, which their first line
/// shows, so that no large file of them is read twice.
fn json(input: &Input, first: &[u8], is_alone: bool) -> Result<Option<Contents>> {
    match first {
        [b'[', ..] if is_alone || first.starts_with(b"[{") || parse(first).is_err() => {
            list(input, first, whole(input)?)
        }
        [b'{', ..] if is_alone => object(input, whole(input)?, first == b"{", true),
        [b'{', ..] if parse(first).is_err_and(|error| goes_on(first, &error)) => {
            object(input, whole(input)?, first == b"{", false)
        }
        _ => Ok(None),
    }
}

/// Whether a line may be the beginning of a document: nothing is wrong with it but that it ends, and not in a string.
fn goes_on(line: &[u8], error: &JsonError) -> bool {
    let n = String::from_utf8_lossy(line).chars().count();
    error.column > n && !error.is_in_string()
}

/// Records of a list. What begins as one and is none is an error of its place in the whole document, unless the first
/// line alone is.
fn list(input: &Input, first: &[u8], whole: Whole) -> Result<Option<Contents>> {
    match whole {
        Ok(Document::List) => document::records(input, None).map(alone).map(Some),
        Err(error) if first == b"[" || first.starts_with(b"[{") => Err(unreadable(
            &input.path,
            format!("the JSON list is not valid: {error}"),
        )),
        _ => Ok(None),
    }
}

/// Records of an object that holds lists. An object of which the first line is only the beginning is no row: that line
/// is a brace, or the document alone is valid.
fn object(input: &Input, whole: Whole, is_brace: bool, is_line: bool) -> Result<Option<Contents>> {
    match whole {
        Ok(Document::Object(lists)) if document::is_one(&lists) => {
            document::contents(input, &lists).map(Some)
        }
        whole if is_brace || (whole.is_ok() && !is_line) => Err(Error::NotRows {
            path: input.path.clone(),
            format: FileFormat::JsonOverLines,
        }),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, bytes: &[u8]) -> Input {
        Input {
            path: name.into(),
            bytes: Some(bytes.to_vec().into()),
        }
    }

    /// Places and texts of the rows to train on.
    fn texts(name: &str, bytes: &[u8]) -> Vec<(usize, String)> {
        let contents = open(&input(name, bytes)).unwrap();
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
        open(&input("train.jsonl", bytes))
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
    fn a_document_may_be_one_long_line() {
        let blanks = " ".repeat(LINE_BYTES);
        let long = "a".repeat(LINE_BYTES);
        let list = format!("{blanks}[{{\"text\": \"a\"}},{blanks}{{\"text\": \"{long}\"}}]");
        assert_eq!(
            texts("x", list.as_bytes()),
            [(1, "a".into()), (2, long.clone())]
        );
        let lines =
            format!("{blanks}\n{blanks}{{\"text\": \"{long}\"}}{blanks}\n\n{{\"text\": \"a\"}}\n");
        assert_eq!(texts("x", lines.as_bytes()), [(2, long), (4, "a".into())]);
    }

    #[test]
    fn an_object_holds_splits() {
        let text = b"{\"train\": [{\"text\": \"a\"}], \"validation\": [{\"text\": \"b\"}, {\"text\": \"c\"}]}";
        let contents = open(&input("x.json", text)).unwrap();
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
            let contents = open(&input("x", bytes)).unwrap();
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
        let text = open(&input("a.txt", b"Once, there was\na king.\n"));
        assert!(
            text.err()
                .unwrap()
                .to_string()
                .contains("this is plain text")
        );
        assert!(error(b"text,text\na,b\n").contains("two columns of the table are named \"text\""));
    }
}
