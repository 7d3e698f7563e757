use crate::models::json::shown;
use crate::models::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;

/// Largest size that a configuration may name: products of two of them are still exact.
const LARGEST_SIZE: u64 = i32::MAX as u64;

/// Fields of a JSON object, each taken by its name once; what nobody took is left. A field that is
/// null is absent; a whole number may be written as `4096.0`.
#[derive(Debug)]
pub(in crate::models) struct Fields<'a> {
    path: &'a Path,
    /// Name of the object in the file with a point behind it; empty for the file's own.
    prefix: String,
    untaken: BTreeMap<&'a str, &'a Value>,
    nulls: BTreeSet<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of `object`; `path` is named in errors.
    pub(in crate::models) fn new(object: &'a Map<String, Value>, path: &'a Path) -> Self {
        let fields = object.iter().map(|(name, value)| (name.as_str(), value));
        let (nulls, given): (Vec<_>, Vec<_>) = fields.partition(|(_, value)| value.is_null());
        Self {
            path,
            prefix: String::new(),
            untaken: given.into_iter().collect(),
            nulls: nulls.into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// The file.
    pub(in crate::models) fn path(&self) -> &'a Path {
        self.path
    }

    /// Value of any kind.
    pub(in crate::models) fn take(&mut self, name: &str) -> Option<&'a Value> {
        self.untaken.remove(name)
    }

    /// Value of any kind, which stays to be taken.
    pub(in crate::models) fn peek(&self, name: &str) -> Option<&'a Value> {
        self.untaken.get(name).copied()
    }

    /// Size: a whole number from 1.
    pub(in crate::models) fn size(&mut self, name: &str) -> Result<Option<usize>> {
        let expected = format!("a whole number from 1 to {LARGEST_SIZE}");
        self.read(name, &expected, |value| match whole_number(value)? {
            n @ 1..=LARGEST_SIZE => usize::try_from(n).ok(),
            _ => None,
        })
    }

    /// Number in `range`.
    pub(in crate::models) fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f64>> {
        let expected = format!("a number from {:?} to {:?}", range.start(), range.end());
        self.read(name, &expected, |value| {
            value.as_f64().filter(|number| range.contains(number))
        })
    }

    /// `true` or `false`; `false` where absent.
    pub(in crate::models) fn flag(&mut self, name: &str) -> Result<bool> {
        self.flag_or(name, false)
    }

    /// `true` or `false`; `default` where absent.
    pub(in crate::models) fn flag_or(&mut self, name: &str, default: bool) -> Result<bool> {
        let flag = self.read(name, "true or false", Value::as_bool)?;
        Ok(flag.unwrap_or(default))
    }

    /// Text.
    pub(in crate::models) fn text(&mut self, name: &str) -> Result<Option<&'a str>> {
        self.read(name, "a string", Value::as_str)
    }

    /// List of strings.
    pub(in crate::models) fn texts(&mut self, name: &str) -> Result<Option<Vec<&'a str>>> {
        self.read(name, "a list of strings", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    /// List of numbers in `range`.
    pub(in crate::models) fn numbers(
        &mut self,
        name: &str,
        range: &RangeInclusive<f64>,
    ) -> Result<Option<Vec<f64>>> {
        let expected = format!("numbers from {:?} to {:?}", range.start(), range.end());
        let number = |value: &Value| value.as_f64().filter(|number| range.contains(number));
        self.read(name, &expected, |value| {
            value.as_array()?.iter().map(number).collect()
        })
    }

    /// Token, or list of tokens; none where absent.
    pub(in crate::models) fn token_ids(&mut self, name: &str) -> Result<Vec<u32>> {
        let ids = self.read(name, "a token id or a list of token ids", |value| {
            let id = |value| whole_number(value).and_then(|id| u32::try_from(id).ok());
            match value {
                Value::Array(values) => values.iter().map(id).collect(),
                one => id(one).map(|id| vec![id]),
            }
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// Object, whose fields are named with `name` before them.
    pub(in crate::models) fn object(&mut self, name: &str) -> Result<Option<Self>> {
        let object = self.read(name, "an object", Value::as_object)?;
        Ok(object.map(|object| Self {
            prefix: format!("{}.", self.full_name(name)),
            ..Self::new(object, self.path)
        }))
    }

    /// `value` of the field `name`, or `default` where it is absent; none where it is null, which a
    /// few fields tell from absent.
    pub(in crate::models) fn or<T>(
        &self,
        name: &str,
        value: Option<T>,
        default: Option<T>,
    ) -> Option<T> {
        match value {
            None if !self.nulls.contains(name) => default,
            value => value,
        }
    }

    /// `value`, which the configuration must have.
    pub(in crate::models) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(name, "given", "nothing"))
    }

    /// Error that names a field of this object.
    pub(in crate::models) fn wrong(
        &self,
        name: &str,
        expected: impl Into<String>,
        got: impl ToString,
    ) -> Error {
        Error::Field {
            path: self.path.to_path_buf(),
            field: self.full_name(name),
            expected: expected.into(),
            got: got.to_string(),
        }
    }

    /// `name` with the object's before it.
    pub(in crate::models) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Names and values of the fields that nobody took.
    pub(in crate::models) fn untaken(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.untaken.iter().map(|(name, value)| (*name, *value))
    }

    /// Two spellings of one setting: that which is there, or both where they say the same.
    pub(in crate::models) fn one_of<T: PartialEq + std::fmt::Debug>(
        &self,
        (first_name, first): (&str, Option<T>),
        (second_name, second): (&str, Option<T>),
    ) -> Result<Option<T>> {
        match (first, second) {
            (Some(first), Some(second)) if first != second => Err(Error::Conflict {
                path: self.path.to_path_buf(),
                first: format!("{first_name} = {first:?}"),
                second: format!("{second_name} = {second:?}"),
            }),
            (first, second) => Ok(first.or(second)),
        }
    }

    fn read<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.wrong(name, expected, shown(value))),
        }
    }
}

/// Also of `4096.0`.
fn whole_number(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|x| *x >= 0.0 && x.fract() == 0.0);
    value.as_u64().or_else(|| {
        // Exact below 2^53; a cast saturates above.
        float().map(|x| x as u64)
    })
}
