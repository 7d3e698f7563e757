//! Rows of a list, read one by one.

use super::super::input::Input;
use super::super::later::later;
use super::super::{Record, Records, RowError, Unit};
use super::{Streamed, objects};
use crate::data::error::Result;
use crate::data::json::{Brackets, Parsed, Stream, StreamError};

/// Records of a list: the document, or the value of an entry of it.
///
/// # Errors
/// When it cannot be read.
pub(in super::super) fn records(input: &Input, entry: Option<usize>) -> Result<Records> {
    let input = input.clone();
    later(move || {
        let items = Items {
            input: input.clone(),
            stream: input.json()?,
            entry,
            number: 0,
            is_over: false,
        };
        Ok(Records {
            path: input.path.clone(),
            unit: Unit::Row,
            items: Box::new(items),
        })
    })
}

/// Items of a list.
struct Items {
    input: Input,
    stream: Stream,
    /// Entry of an object whose value the list is.
    entry: Option<usize>,
    number: usize,
    is_over: bool,
}

impl Items {
    fn next_value(&mut self) -> Streamed<Option<Parsed>> {
        let stream = &mut self.stream;
        if self.number == 0 {
            if let Some(entry) = self.entry {
                skip_to(stream, entry)?;
            }
            stream.enter()?;
        }
        self.number += 1;
        match stream.next_entry(Brackets::List, self.number == 1)? {
            true => stream.value().map(Some),
            false => Ok(None),
        }
    }
}

/// Goes to the value of an entry of an object.
fn skip_to(stream: &mut Stream, entry: usize) -> Streamed<()> {
    stream.enter()?;
    for at in 0..=entry {
        stream.next_entry(Brackets::Object, at == 0)?;
        // A document that has fewer entries than a moment ago has no key here.
        stream.key()?;
        if at == entry {
            break;
        }
        match stream.brackets()? {
            Some(Brackets::List) => drop(objects(stream)?),
            _ => drop(stream.value()?),
        }
    }
    Ok(())
}

impl Iterator for Items {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.is_over {
            return None;
        }
        let value = self.next_value().transpose();
        self.is_over = !matches!(value, Some(Ok(_)));
        let value = value?.map_err(|error| match error {
            StreamError::Json(error) => RowError::Json(error),
            StreamError::Io(error) => RowError::Encode(self.input.error(error)),
        });
        Some(Record {
            number: self.number,
            value,
        })
    }
}
