//! JSON documents: all rows in one list, or lists under the names of splits in one object.

use std::path::Path;

use super::{Contents, Record, Records, Unit, unreadable};
use crate::data::error::Result;
use crate::data::json::{Json, Lists, Member, Parsed};

/// Keys of an object that holds the rows to train on, and of those for the other splits.
const TRAIN: [&str; 6] = ["train", "training", "data", "rows", "examples", "instances"];
const VALID: [&str; 4] = ["validation", "valid", "val", "dev"];
const TEST: [&str; 2] = ["test", "testing"];

/// Records of a list.
pub(super) fn records(path: &Path, items: Vec<Parsed>) -> Records {
    let records = (1..).zip(items).map(|(number, item)| Record {
        number,
        value: Ok(item),
    });
    Records {
        path: path.to_owned(),
        unit: Unit::Row,
        items: Box::new(records),
    }
}

/// Whether an object holds lists of rows.
pub(super) fn is_one(object: &Lists) -> bool {
    let is_row = |(item, _): &Parsed| matches!(item, Json::Object(_));
    let is_rows = |key: &str| match object.get(key) {
        Some(Member::List(items)) => items.iter().all(is_row),
        _ => false,
    };
    TRAIN.into_iter().any(is_rows)
}

/// Records of an object that holds lists of rows.
///
/// # Errors
/// When several of its lists may be the rows to train on.
pub(super) fn contents(path: &Path, mut object: Lists) -> Result<Contents> {
    let mut take = |keys: &[&str]| {
        let is_list = |key: &&&str| matches!(object.get(**key), Some(Member::List(_)));
        let found: Vec<String> = keys
            .iter()
            .filter(is_list)
            .map(|key| (*key).to_owned())
            .collect();
        match found.as_slice() {
            [] => Ok(None),
            [key] => match object.shift_remove(key) {
                Some(Member::List(items)) => Ok(Some(records(path, items))),
                _ => Ok(None),
            },
            several => {
                let keys = several.join(", ");
                Err(unreadable(
                    path,
                    format!("the object has several lists of rows: {keys}"),
                ))
            }
        }
    };
    let (train, valid, test) = (take(&TRAIN)?, take(&VALID)?, take(&TEST)?);
    Ok(Contents {
        train: train.unwrap_or_else(|| records(path, vec![])),
        valid,
        test,
    })
}
