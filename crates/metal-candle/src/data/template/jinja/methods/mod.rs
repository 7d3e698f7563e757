//! Methods of Python's types.

mod collection;
mod find;
mod pad;
mod property;
mod split;
mod text;

use super::error::{Error, Result};
use super::render::{Args, Render};
use super::value::Value;

/// Calls `value.name(args)`. The type has a method of that name.
pub(super) fn call(
    render: &mut Render<'_>,
    value: &Value,
    name: &str,
    args: Args,
) -> Result<Value> {
    match value {
        Value::Str(text) => text::call(render, text, name, args),
        Value::Dict(dict) => collection::dict(render, dict, name, args),
        Value::List(items) | Value::Tuple(items) => {
            collection::list(render, value, &items.values, name, args)
        }
        Value::Cycler(cycler) => {
            args.none(name)?;
            match name {
                "next" => Ok(cycler.next()),
                "reset" => {
                    cycler.reset();
                    Ok(Value::None)
                }
                _ => Err(unsupported(value, name)),
            }
        }
        Value::Float(x) if name == "is_integer" => {
            args.none(name)?;
            Ok(Value::Bool(x.is_finite() && x.fract() == 0.0))
        }
        _ => Err(unsupported(value, name)),
    }
}

fn unsupported(value: &Value, name: &str) -> Error {
    Error::unsupported(format!("{}.{name}", value.type_name()))
}

/// A text as an argument.
fn text_argument<'a>(value: Option<&'a Value>, method: &str) -> Result<&'a str> {
    match value {
        Some(Value::Str(text)) => Ok(&text.text),
        Some(other) => {
            let got = other.type_name();
            Err(Error::render(format!(
                "{method}() needs a text, not '{got}'"
            )))
        }
        None => Err(Error::render(format!("{method}() needs an argument"))),
    }
}

/// An integer as an argument; `None` if it is not given or, where Python takes that, `none`.
fn int_argument(value: Option<&Value>, method: &str, takes_none: bool) -> Result<Option<i128>> {
    match value {
        None => Ok(None),
        Some(Value::None) if takes_none => Ok(None),
        Some(other) => match other.as_int() {
            Some(value) => Ok(Some(value)),
            None => {
                let got = other.type_name();
                Err(Error::render(format!(
                    "{method}() needs an integer, not '{got}'"
                )))
            }
        },
    }
}
