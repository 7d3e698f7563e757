//! Input of a template: values of JSON under names.

use crate::data::json::{Json, Object};

use super::ast::Name;
use super::error::{Error, Result};
use super::limits::{Budget, InputSize, MAX_VALUE_DEPTH};
use super::value::{Dict, Value};

/// Variables of a template, and how large they are.
pub(crate) struct Input {
    pub(super) variables: Vec<(Name, Value)>,
    pub(super) size: InputSize,
    /// The input is not the template's doing.
    budget: Budget,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self {
            variables: Vec::new(),
            size: InputSize::default(),
            budget: Budget::unlimited(),
        }
    }

    /// Sets a variable, in the place of one with the same name.
    ///
    /// # Errors
    /// When the value is nested too deep.
    pub(crate) fn set(&mut self, name: &str, json: &Json) -> Result<()> {
        let value = self.value(json, 0)?;
        self.insert(name, value);
        Ok(())
    }

    /// Sets a variable to a list of values.
    ///
    /// # Errors
    /// When a value is nested too deep.
    pub(crate) fn set_list(&mut self, name: &str, items: &[Json]) -> Result<()> {
        let items = items.iter().map(|item| self.value(item, 1));
        let items = items.collect::<Result<_>>()?;
        let value = Value::list(items, &self.budget)?;
        self.insert(name, value);
        Ok(())
    }

    /// Sets a variable to a list of objects: the messages.
    ///
    /// # Errors
    /// When a value is nested too deep.
    pub(crate) fn set_messages(&mut self, name: &str, items: &[Object]) -> Result<()> {
        self.size.n_messages += items.len();
        let items = items.iter().map(|item| self.object(item, 1));
        let items = items.collect::<Result<_>>()?;
        let value = Value::list(items, &self.budget)?;
        self.insert(name, value);
        Ok(())
    }

    fn insert(&mut self, name: &str, value: Value) {
        self.variables.retain(|(other, _)| **other != *name);
        self.variables.push((name.into(), value));
    }

    fn value(&mut self, json: &Json, depth: usize) -> Result<Value> {
        if depth >= MAX_VALUE_DEPTH {
            let message = format!("the input is nested more than {MAX_VALUE_DEPTH} levels deep");
            return Err(Error::render(message));
        }
        self.size.n_values += 1;
        self.size.n_bytes += 16;
        Ok(match json {
            Json::Null => Value::None,
            Json::Bool(value) => Value::Bool(*value),
            Json::Int(value) => Value::Int(*value),
            Json::BigInt(digits) => Value::Digits(digits.as_str().into()),
            Json::Float(value) => Value::Float(*value),
            Json::String(text) => self.text(text),
            Json::LoneSurrogate | Json::Bytes => self.text("\u{FFFD}"),
            Json::Array(items) => {
                let items = items.iter().map(|item| self.value(item, depth + 1));
                let items = items.collect::<Result<_>>()?;
                Value::list(items, &self.budget)?
            }
            Json::Object(entries) => self.object(entries, depth)?,
        })
    }

    fn object(&mut self, entries: &Object, depth: usize) -> Result<Value> {
        let entries = entries
            .iter()
            .map(|(key, value)| Ok((self.text(key), self.value(value, depth + 1)?)));
        let entries = entries.collect::<Result<_>>()?;
        Ok(Value::Dict(Dict::new(entries, &self.budget)?))
    }

    fn text(&mut self, text: &str) -> Value {
        self.size.n_bytes += text.len();
        Value::str(text)
    }
}
