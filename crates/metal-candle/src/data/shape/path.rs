//! Values of columns, and of what lies inside of them.

use super::super::row::wrong_type;
use crate::data::error::RowError;
use crate::data::json::{Json, Object};

/// The value of a column that is not null: that of the name as it stands, or else the one that dots lead to, through
/// keys of objects and places in lists.
pub(super) fn get<'a>(row: &'a Object, key: &str) -> Option<&'a Json> {
    row.get(key)
        .or_else(|| inside(row, key))
        .filter(|value| !value.is_null())
}

fn inside<'a>(row: &'a Object, key: &str) -> Option<&'a Json> {
    let mut parts = key.split('.');
    let mut value = row.get(parts.next()?)?;
    for part in parts {
        value = match value {
            Json::Object(object) => object.get(part)?,
            Json::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

/// Name of the column of the row that `key` leads into.
pub(super) fn column<'a>(row: &Object, key: &'a str) -> &'a str {
    match (row.contains_key(key), key.split_once('.')) {
        (false, Some((column, _))) => column,
        _ => key,
    }
}

/// The text of a column.
///
/// # Errors
/// When it holds something else.
pub(super) fn text(row: &Object, key: &str) -> Result<String, RowError> {
    match get(row, key) {
        Some(Json::String(text)) => Ok(text.clone()),
        other => Err(wrong_type(key, "a string", other)),
    }
}
