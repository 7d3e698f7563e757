//! Attributes and items.

use std::rc::Rc;
use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::value::{Method, Value};
use super::Render;

/// Methods that change a dict, or a list: the sandbox makes them undefined.
const CHANGES_DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const CHANGES_LIST: [&str; 8] = [
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
];

impl Render<'_> {
    /// Whether `value.name` is a method of its Python type, which comes before a dict's keys.
    pub(super) fn is_method(&self, value: &Value, name: &str) -> bool {
        value.has_attribute(name) && !matches!(value, Value::Loop(_) | Value::Macro(_))
    }

    /// `value.name`: what Python's type has by that name, or else the item.
    pub(in super::super) fn attribute(&mut self, value: &Value, name: &Arc<str>) -> Result<Value> {
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if let Value::Dict(dict) = value
            && let Some(found) = dict.get_str(name, &self.budget)?
        {
            if name.starts_with("__") {
                return Err(Error::unsupported(format!(
                    "the key '{name}' as an attribute"
                )));
            }
            return Ok(found.clone());
        }
        Ok(Value::Undefined(name.clone()))
    }

    /// What Python's `getattr` finds.
    pub(in super::super) fn own_attribute(
        &mut self,
        value: &Value,
        name: &Arc<str>,
    ) -> Result<Option<Value>> {
        match value {
            Value::Undefined(missing) => return Err(Value::undefined_error(missing)),
            Value::Namespace(id) => {
                let attributes = &self.namespaces[*id];
                self.budget.spend(attributes.len() / 8)?;
                let found = attributes.iter().find(|(other, _)| other == name);
                return Ok(found.map(|(_, value)| value.clone()));
            }
            Value::Loop(id) => {
                if let Some(found) = self.loop_attribute(*id, name)? {
                    return Ok(Some(found));
                }
            }
            Value::Cycler(cycler) if &**name == "current" => return Ok(Some(cycler.current())),
            Value::Macro(id) if &**name == "name" => {
                return Ok(Some(Value::str(self.macro_name(*id))));
            }
            Value::Range(range) => match &**name {
                "start" => return Ok(Some(Value::Int(range.start))),
                "stop" => return Ok(Some(Value::Int(range.stop))),
                "step" => return Ok(Some(Value::Int(range.step))),
                _ => {}
            },
            Value::Tuple(items) if items.group => match &**name {
                "grouper" => return Ok(Some(items.values[0].clone())),
                "list" => return Ok(Some(items.values[1].clone())),
                _ => {}
            },
            Value::Dict(_) if CHANGES_DICT.contains(&&**name) => {
                return Ok(Some(Value::Undefined(name.clone())));
            }
            Value::List(_) if CHANGES_LIST.contains(&&**name) => {
                return Ok(Some(Value::Undefined(name.clone())));
            }
            _ => {}
        }
        if !value.has_attribute(name) {
            return Ok(None);
        }
        let (receiver, name) = (value.clone(), name.clone());
        Ok(Some(Value::Method(Rc::new(Method { receiver, name }))))
    }

    /// `value[key]`: the item, or else the attribute.
    pub(in super::super) fn item(&mut self, value: &Value, key: &Value) -> Result<Value> {
        if let Some(found) = self.own_item(value, key)? {
            return Ok(found);
        }
        match key {
            Value::Str(name) => {
                let found = self.own_attribute(value, &name.text)?;
                Ok(found.unwrap_or_else(|| Value::Undefined(name.text.clone())))
            }
            other => Ok(Value::undefined(match other.as_int() {
                Some(index) => format!("item {index}"),
                None => "item".to_owned(),
            })),
        }
    }

    /// What Python's `value[key]` finds.
    fn own_item(&mut self, value: &Value, key: &Value) -> Result<Option<Value>> {
        if let Value::Undefined(name) = value {
            return Err(Value::undefined_error(name));
        }
        if let Value::Dict(dict) = value {
            // What cannot be a key is not there.
            return match key {
                Value::List(_) | Value::Dict(_) => Ok(None),
                key => Ok(dict.get(key, &self.budget)?.cloned()),
            };
        }
        let Some(index) = key.as_int() else {
            return Ok(None);
        };
        let at = |length: usize| {
            let index = if index < 0 {
                index + length as i128
            } else {
                index
            };
            usize::try_from(index).ok().filter(|at| *at < length)
        };
        Ok(match value {
            Value::List(items) | Value::Tuple(items) => {
                at(items.values.len()).map(|at| items.values[at].clone())
            }
            Value::Range(range) => at(range.len()).map(|at| range.get(at)),
            Value::Str(text) => {
                self.budget.scan(text.text.len())?;
                let length = text.text.chars().count();
                let c = at(length).and_then(|at| text.text.chars().nth(at));
                c.map(|c| Value::text(c.to_string(), text.escaped))
            }
            _ => None,
        })
    }
}
