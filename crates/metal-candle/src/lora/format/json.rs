//! Fields of a configuration file, read one by one, so that errors name them.

use crate::files;
use crate::lora::{Error, Refusal, shortened};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::Path;

/// The object that a file holds.
///
/// # Errors
/// When the file cannot be read, or is not one JSON object.
pub(super) fn object(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = files::read_text(path)?;
    serde_json::from_str(&text).map_err(|source| Error::Json {
        path: path.to_path_buf(),
        source,
    })
}

/// Fields of the object in a file, or in one of its fields.
pub(super) struct Fields<'a> {
    pub(super) path: &'a Path,
    pub(super) all: &'a Map<String, Value>,
}

impl Fields<'_> {
    /// A field that has a default and may not be `null`.
    pub(super) fn or<T: DeserializeOwned>(
        &self,
        name: &'static str,
        default: T,
    ) -> Result<T, Error> {
        match self.all.get(name) {
            Some(value) => self.parsed(name, value),
            None => Ok(default),
        }
    }

    /// A field that must be there.
    pub(super) fn required<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, Error> {
        let value = self.all.get(name);
        let value = value.ok_or_else(|| self.wrong(name, "is missing".into()))?;
        self.parsed(name, value)
    }

    /// A field of which `null` is as good as its absence.
    pub(super) fn optional<T: DeserializeOwned>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Error> {
        match self.all.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => self.parsed(name, value).map(Some),
        }
    }

    fn parsed<T: DeserializeOwned>(&self, name: &'static str, value: &Value) -> Result<T, Error> {
        T::deserialize(value).map_err(|e| self.wrong(name, e.to_string()))
    }

    /// The error for a field that is not of its type.
    pub(super) fn wrong(&self, field: &'static str, reason: String) -> Error {
        Error::Field {
            path: self.path.to_path_buf(),
            field,
            reason: shortened(&reason),
        }
    }
}

pub(super) fn refusal(field: &str, value: &Value, why: &'static str) -> Refusal {
    Refusal {
        field: shortened(field),
        value: shortened(&value.to_string()),
        why,
    }
}
