//! JSON documents: all rows in one list, or lists under the names of splits in one object. They are read twice, one value
//! at a time: whether they are whole comes first.

mod items;

use indexmap::IndexMap;

use super::input::Input;
use super::{Contents, Records, Unit, unreadable};
use crate::data::error::Result;
use crate::data::json::{Brackets, Json, JsonError, Stream, StreamError};

pub(super) use items::records;

type Streamed<T> = std::result::Result<T, StreamError>;

/// Keys of an object that holds the rows to train on, and of those for the other splits.
const TRAIN: [&str; 6] = ["train", "training", "data", "rows", "examples", "instances"];
const VALID: [&str; 4] = ["validation", "valid", "val", "dev"];
const TEST: [&str; 2] = ["test", "testing"];

/// Kind of a document.
pub(super) enum Document {
    /// A list.
    List,
    /// An object.
    Object(Lists),
    /// Another value.
    Other,
}

/// Lists among the entries of an object; of several entries of one key the last one.
pub(super) type Lists = IndexMap<String, Option<List>>;

/// List in an object.
pub(super) struct List {
    /// Place of its entry, from 0.
    entry: usize,
    /// Whether all items are objects.
    are_objects: bool,
}

/// Kind of a document, or why it is none.
pub(super) type Whole = std::result::Result<Document, JsonError>;

/// Reads all of a document.
///
/// # Errors
/// When it cannot be read.
pub(super) fn whole(input: &Input) -> Result<Whole> {
    match outline(input.json()?) {
        Ok(document) => Ok(Ok(document)),
        Err(StreamError::Json(error)) => Ok(Err(error)),
        Err(StreamError::Io(error)) => Err(input.error(error)),
    }
}

fn outline(mut stream: Stream) -> Streamed<Document> {
    let document = match stream.brackets()? {
        Some(Brackets::List) => {
            objects(&mut stream)?;
            Document::List
        }
        Some(Brackets::Object) => Document::Object(lists(&mut stream)?),
        None => {
            stream.value()?;
            Document::Other
        }
    };
    stream.end()?;
    Ok(document)
}

fn lists(stream: &mut Stream) -> Streamed<Lists> {
    let mut lists = Lists::new();
    stream.enter()?;
    for entry in 0.. {
        if !stream.next_entry(Brackets::Object, entry == 0)? {
            break;
        }
        let key = stream.key()?;
        let list = match stream.brackets()? {
            Some(Brackets::List) => {
                let are_objects = objects(stream)?;
                Some(List { entry, are_objects })
            }
            _ => {
                stream.value()?;
                None
            }
        };
        lists.insert(key, list);
    }
    Ok(lists)
}

/// Goes over a list; gives whether all of its items are objects.
fn objects(stream: &mut Stream) -> Streamed<bool> {
    let (mut are_objects, mut is_first) = (true, true);
    stream.enter()?;
    while stream.next_entry(Brackets::List, is_first)? {
        let (item, _) = stream.value()?;
        are_objects &= matches!(item, Json::Object(_));
        is_first = false;
    }
    Ok(are_objects)
}

/// Whether an object holds lists of rows.
pub(super) fn is_one(lists: &Lists) -> bool {
    let is_rows = |key: &str| matches!(lists.get(key), Some(Some(list)) if list.are_objects);
    TRAIN.into_iter().any(is_rows)
}

/// Records of an object that holds lists of rows.
///
/// # Errors
/// When several of its lists may be the rows to train on.
pub(super) fn contents(input: &Input, lists: &Lists) -> Result<Contents> {
    let found = |keys: &[&str]| {
        let list = |key: &&str| Some((key.to_string(), lists.get(*key)?.as_ref()?.entry));
        let (keys, entries): (Vec<String>, Vec<usize>) = keys.iter().filter_map(list).unzip();
        match entries[..] {
            [] => Ok(None),
            [entry] => records(input, Some(entry)).map(Some),
            _ => {
                let reason = format!("the object has several lists of rows: {}", keys.join(", "));
                Err(unreadable(&input.path, reason))
            }
        }
    };
    let (train, valid, test) = (found(&TRAIN)?, found(&VALID)?, found(&TEST)?);
    let none = || Records {
        path: input.path.clone(),
        unit: Unit::Row,
        items: Box::new(std::iter::empty()),
    };
    Ok(Contents {
        train: train.unwrap_or_else(none),
        valid,
        test,
    })
}
