use super::value::{Array, Value, shown};
use super::{Error, Result};
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// Values of a file by their keys, in its order.
#[derive(Clone, Debug)]
pub struct Metadata {
    path: PathBuf,
    values: IndexMap<String, Value>,
}

impl Metadata {
    pub(super) fn new(path: &Path, values: IndexMap<String, Value>) -> Self {
        Self {
            path: path.to_path_buf(),
            values,
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Value of any kind.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// Keys and values in the file's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Text.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.read(key, "a text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whole number that is not negative.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn size(&self, key: &str) -> Result<Option<u64>> {
        self.read(key, "a whole number", |value| match value {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        })
    }

    /// Finite number.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn float(&self, key: &str) -> Result<Option<f64>> {
        self.read(key, "a finite number", |value| match value {
            Value::Float(number) => number.is_finite().then_some(*number),
            Value::Unsigned(number) => Some(*number as f64),
            Value::Signed(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// Truth value.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.read(key, "true or false", |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
    }

    /// Texts.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn texts(&self, key: &str) -> Result<Option<&[String]>> {
        self.read(key, "a list of texts", |value| match value {
            Value::Array(Array::Texts(texts)) => Some(texts.as_slice()),
            _ => None,
        })
    }

    /// Whole numbers.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn whole(&self, key: &str) -> Result<Option<&[i64]>> {
        self.read(key, "a list of whole numbers", |value| match value {
            Value::Array(Array::Whole(numbers)) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    /// Floats.
    ///
    /// # Errors
    /// When the value is another one.
    pub fn floats(&self, key: &str) -> Result<Option<&[f32]>> {
        self.read(key, "a list of floats", |value| match value {
            Value::Array(Array::Floats(numbers)) => Some(numbers.as_slice()),
            _ => None,
        })
    }

    /// `value`, which the file must have under `key`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(key, "given", "nothing"))
    }

    /// Error that names a key.
    #[must_use]
    pub fn wrong(&self, key: &str, expected: impl Into<String>, got: impl ToString) -> Error {
        Error::Key {
            path: self.path.clone(),
            key: shown(key),
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    fn read<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.wrong(key, expected, value)),
        }
    }
}
