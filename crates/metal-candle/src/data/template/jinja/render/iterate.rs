//! Iteration.

use std::rc::Rc;

use super::super::error::{Error, Result};
use super::super::value::{Items, Value};
use super::Render;

impl Render<'_> {
    /// Items of `value`. A stream is empty afterwards.
    ///
    /// # Errors
    /// When there is nothing to iterate.
    pub(in super::super) fn iterate(&self, value: &Value) -> Result<Rc<Items>> {
        let values = match value {
            Value::List(items) | Value::Tuple(items) => {
                self.budget.spend(1)?;
                return Ok(items.clone());
            }
            Value::View(view) => return view.items(&self.budget),
            Value::Undefined(_) => Vec::new(),
            Value::Dict(dict) => dict.entries.iter().map(|(key, _)| key.clone()).collect(),
            Value::Range(range) => (0..range.len()).map(|at| range.get(at)).collect(),
            Value::Stream(stream) => stream.rest().to_vec(),
            Value::Str(text) => {
                self.budget.items(text.text.len())?;
                let chars = text.text.chars();
                chars
                    .map(|c| Value::text(c.to_string(), text.escaped))
                    .collect()
            }
            other => {
                let got = other.type_name();
                return Err(Error::render(format!("'{got}' object is not iterable")));
            }
        };
        Items::new(values, &self.budget)
    }

    /// Python's `len`.
    pub(in super::super) fn length_of(&mut self, value: &Value) -> Result<usize> {
        Ok(match value {
            Value::Str(text) => {
                self.budget.scan(text.text.len())?;
                text.text.chars().count()
            }
            Value::List(items) | Value::Tuple(items) => items.values.len(),
            Value::Dict(dict) => dict.entries.len(),
            Value::View(view) => view.len(),
            Value::Range(range) => range.len(),
            Value::Undefined(_) => 0,
            Value::Loop(id) => self.loop_length(*id)?,
            other => {
                let got = other.type_name();
                return Err(Error::render(format!(
                    "object of type '{got}' has no len()"
                )));
            }
        })
    }
}
