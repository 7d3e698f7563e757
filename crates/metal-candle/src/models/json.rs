//! JSON files of others: bounded in size, and no key twice with different values.

use super::{Error, Result};
use crate::files;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Most bytes of a configuration: some hundred times the largest that is known.
pub(super) const CONFIG_LIMIT_BYTES: u64 = 4 << 20;

/// Most bytes of an index of shards; that of a model of 91,000 tensors has 9 MB.
pub(super) const INDEX_LIMIT_BYTES: u64 = 64 << 20;

/// Object in the file at `path`, which may not be larger than `limit_bytes`.
///
/// # Errors
/// When the file is missing, not a regular file, too large or malformed, or holds no object.
pub(super) fn read_object(path: &Path, limit_bytes: u64) -> Result<Map<String, Value>> {
    let bytes = read_bounded(path, limit_bytes)?;
    let text = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(&bytes);
    match parse(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Error::Field {
            path: path.to_path_buf(),
            field: "the file".into(),
            expected: "one JSON object".into(),
            got: shown(&other),
        }),
        Err(source) => Err(Error::Json {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// The JSON object in `text`.
///
/// # Errors
/// When it is malformed, or holds something else.
pub(super) fn parse_object(text: &[u8]) -> serde_json::Result<Map<String, Value>> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        other => Err(serde::de::Error::custom(format_args!("{}", shown(&other)))),
    }
}

/// Most characters of a value or a name that a message shows.
const SHOWN_CHARS: usize = 80;

/// A value as messages show it: bounded.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A name from a file as messages show it: bounded, control characters escaped.
pub(super) fn shown_name(name: &str) -> String {
    cut(&name.escape_debug().to_string())
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_string(),
    }
}

fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let file = files::open(path)?;
    let read = file.take(limit_bytes + 1).read_to_end(&mut bytes);
    read.map_err(files::Error::at("read", path))?;
    match bytes.len() as u64 > limit_bytes {
        true => Err(Error::TooLarge {
            path: path.to_path_buf(),
            limit_bytes,
        }),
        false => Ok(bytes),
    }
}

fn parse(text: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reader of any value. A key that an object gives twice must have the same value both times:
/// which of two is meant, readers do not agree on.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            match object.get(&key) {
                Some(earlier) if *earlier != value => {
                    return Err(given_twice(&key, earlier, &value));
                }
                _ => object.insert(key, value),
            };
        }
        Ok(object.into())
    }
}

fn given_twice<E: serde::de::Error>(key: &str, first: &Value, second: &Value) -> E {
    let (key, first, second) = (shown_name(key), shown(first), shown(second));
    E::custom(format_args!("{key} is given twice: {first} and {second}"))
}
