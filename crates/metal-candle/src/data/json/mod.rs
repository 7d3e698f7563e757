//! JSON as Python reads it, for rows and what of them a chat template sees.
//!
//! `serde_json` rounds integers beyond 64 bits, and refuses a line for a `NaN` or half a surrogate
//! pair in a field that nobody reads. Configuration files stay with it.

mod messages;
mod parse;
mod reason;
mod stream;
#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer};

pub(super) use messages::{with_reasoning, without_nulls};
pub use parse::JsonError;
pub(super) use parse::{Parsed, parse};
pub(super) use stream::{Brackets, Stream, StreamError};

/// An object; keys keep the order in which they were read.
pub type Object = IndexMap<String, Json>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction and exponent.
    Int(i128),
    /// Digits, maybe behind a minus sign, of an integer beyond 128 bits.
    BigInt(String),
    /// A number with fraction or exponent, or Python's `NaN` and `Infinity`.
    Float(f64),
    /// A string.
    String(String),
    /// A string that holds half of a surrogate pair (`"\ud800"`), which Rust's strings cannot.
    LoneSurrogate,
    /// Bytes of a table in place of a string, which are no UTF-8.
    Bytes,
    /// A list.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

impl Json {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value under a key of an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object()?.get(key)
    }

    /// The value under a key of an object, to change it.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Json> {
        match self {
            Self::Object(object) => object.get_mut(key),
            _ => None,
        }
    }

    /// Its kind, for messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Float(x) if !x.is_finite() => "NaN or Infinity",
            Self::Int(_) | Self::BigInt(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::LoneSurrogate => "a string with half of a surrogate pair (\\ud800 to \\udfff)",
            Self::Bytes => "bytes that are no UTF-8",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// Where in this value, itself reached by `path`, something stands that no text can be made of:
    /// `NaN`, an infinity, half of a surrogate pair, or bytes.
    pub(super) fn unreadable(&self, path: &str) -> Option<(String, &Json)> {
        match self {
            Self::LoneSurrogate | Self::Bytes => Some((path.to_owned(), self)),
            Self::Float(x) if !x.is_finite() => Some((path.to_owned(), self)),
            Self::Array(items) => items
                .iter()
                .enumerate()
                .find_map(|(i, item)| item.unreadable(&format!("{path}[{i}]"))),
            Self::Object(object) => object
                .iter()
                .find_map(|(key, item)| item.unreadable(&format!("{path}.{}", shortened(key)))),
            _ => None,
        }
    }
}

/// A text from a file as a message may show it: control characters escaped, 40 characters at most.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect::<Vec<_>>(),
            false => vec![c],
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => number
                .as_i128()
                .map(Self::Int)
                .or_else(|| number.as_f64().map(Self::Float))
                .unwrap_or(Self::Null),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(object) => Self::Object(
                object
                    .into_iter()
                    .map(|(key, item)| (key, Self::from(item)))
                    .collect(),
            ),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}
