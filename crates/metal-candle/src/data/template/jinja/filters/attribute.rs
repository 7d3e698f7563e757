//! Attributes by name, as the filters take them: `a.b.0`.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::value::Value;

/// Attributes that items are sorted by at once.
const MAX_PATHS: usize = 100;

/// Keys to follow, from the outermost.
pub(super) struct Path(Vec<Value>);

impl Path {
    /// Path of a filter's argument: a text is split at dots, a number is one key, `none` the value
    /// itself.
    pub(super) fn new(attribute: Option<&Value>) -> Self {
        Self(match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Str(text)) => text.text.split('.').map(key).collect(),
            Some(other) => vec![other.clone()],
        })
    }

    /// Paths of a list of attributes with commas between them.
    pub(super) fn many(attribute: Option<&Value>) -> Result<Vec<Self>> {
        Ok(match attribute {
            Some(Value::Str(text)) if text.text.matches(',').count() > MAX_PATHS => {
                return Err(Error::unsupported("sorting by so many attributes"));
            }
            Some(Value::Str(text)) => {
                let parts = text.text.split(',');
                parts
                    .map(|part| Self::new(Some(&Value::str(part))))
                    .collect()
            }
            other => vec![Self::new(other)],
        })
    }

    /// What the path leads to; `default` stands for what is undefined on the way.
    pub(super) fn of(
        &self,
        render: &mut Render<'_>,
        value: &Value,
        default: Option<&Value>,
    ) -> Result<Value> {
        let mut value = value.clone();
        for key in &self.0 {
            render.budget.spend(1)?;
            value = render.item(&value, key)?;
            if let (Value::Undefined(_), Some(default)) = (&value, default) {
                value = default.clone();
            }
        }
        Ok(value)
    }
}

fn key(part: &str) -> Value {
    match part.parse() {
        Ok(index) if part.bytes().all(|byte| byte.is_ascii_digit()) => Value::Int(index),
        _ => Value::str(part),
    }
}

/// `attr(name)`: the attribute, never the item.
pub(super) fn attr(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [name] = args.bind("attr", ["name"])?;
    let Some(Value::Str(name)) = name else {
        return Err(Error::render("attr needs a name"));
    };
    let name: &Arc<str> = &name.text;
    let found = render.own_attribute(value, name)?;
    Ok(found.unwrap_or_else(|| Value::Undefined(name.clone())))
}
