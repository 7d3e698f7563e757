//! Tests (`is ...`), by the names of Jinja2.

use std::rc::Rc;
use std::sync::Arc;

use super::ast::{Comparison, Operator};
use super::error::{Error, Result};
use super::filters;
use super::render::{Args, Render, arithmetic};
use super::value::{Value, equal};

const NAMES: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// Whether `value is name(args)`.
pub(super) fn holds(
    render: &mut Render<'_>,
    name: &str,
    value: &Value,
    args: Args,
) -> Result<bool> {
    if let Some(comparison) = comparison(name) {
        let other = argument(args, name)?;
        return render.holds(comparison, value, &other);
    }
    match name {
        "divisibleby" => divisible(render, value, &argument(args, name)?, 0),
        "sameas" => same(value, &argument(args, name)?),
        _ => {
            args.none(name)?;
            plain(render, name, value)
        }
    }
}

fn argument(args: Args, name: &str) -> Result<Value> {
    let [other] = args.bind_positional(name)?;
    other.ok_or_else(|| Error::render(format!("the test '{name}' needs an argument")))
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "==" | "eq" | "equalto" => Comparison::Equal,
        "!=" | "ne" => Comparison::NotEqual,
        ">" | "gt" | "greaterthan" => Comparison::Greater,
        ">=" | "ge" => Comparison::GreaterEqual,
        "<" | "lt" | "lessthan" => Comparison::Less,
        "<=" | "le" => Comparison::LessEqual,
        "in" => Comparison::In,
        _ => return None,
    })
}

fn plain(render: &mut Render<'_>, name: &str, value: &Value) -> Result<bool> {
    Ok(match name {
        "boolean" => matches!(value, Value::Bool(_)),
        "callable" => is_callable(value),
        "defined" => !value.is_undefined(),
        "escaped" => matches!(value, Value::Str(text) if text.escaped),
        "even" => return divisible(render, value, &Value::Int(2), 0),
        "false" => matches!(value, Value::Bool(false)),
        "filter" => has_name(filters::NAMES, value)?,
        "float" => matches!(value, Value::Float(_)),
        "integer" => matches!(value, Value::Int(_) | Value::Digits(_)),
        "iterable" => is_iterable(value),
        "lower" => is_lower(&written(render, value)?),
        "mapping" => matches!(value, Value::Dict(_)),
        "none" => matches!(value, Value::None),
        "number" => matches!(
            value,
            Value::Int(_) | Value::Digits(_) | Value::Float(_) | Value::Bool(_)
        ),
        "odd" => return divisible(render, value, &Value::Int(2), 1),
        "sequence" => is_sequence(value),
        "string" => matches!(value, Value::Str(_)),
        "test" => has_name(NAMES, value)?,
        "true" => matches!(value, Value::Bool(true)),
        "undefined" => value.is_undefined(),
        "upper" => is_upper(&written(render, value)?),
        _ => return Err(Error::render(format!("No test named '{name}'"))),
    })
}

fn has_name(names: &[&str], value: &Value) -> Result<bool> {
    match value {
        Value::Str(name) => Ok(names.contains(&&*name.text)),
        _ => Ok(false),
    }
}

fn divisible(render: &Render<'_>, value: &Value, by: &Value, rest: i128) -> Result<bool> {
    let left = arithmetic(render, Operator::Mod, value, by)?;
    equal(&left, &Value::Int(rest), &render.budget)
}

/// Python's `is`, where it does not depend on how CPython stores a value.
fn same(value: &Value, other: &Value) -> Result<bool> {
    match (value, other) {
        (Value::None, Value::None) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::List(a) | Value::Tuple(a), Value::List(b) | Value::Tuple(b))
            if Rc::ptr_eq(a, b) =>
        {
            Ok(true)
        }
        (Value::Dict(a), Value::Dict(b)) if Rc::ptr_eq(a, b) => Ok(true),
        (Value::None | Value::Bool(_), _) | (_, Value::None | Value::Bool(_)) => Ok(false),
        _ => Err(Error::unsupported("the test 'sameas' of such values")),
    }
}

fn is_callable(value: &Value) -> bool {
    matches!(
        value,
        Value::Undefined(_)
            | Value::Macro(_)
            | Value::Loop(_)
            | Value::Joiner(_)
            | Value::Method(_)
            | Value::Function(_)
    )
}

/// Whatever can be iterated.
fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || matches!(value, Value::View(_) | Value::Stream(_) | Value::Loop(_))
}

/// Whatever has a length and items, which in Python includes texts and dicts.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value,
        Value::Undefined(_)
            | Value::Str(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Dict(_)
            | Value::Range(_)
    )
}

fn written(render: &Render<'_>, value: &Value) -> Result<Arc<str>> {
    let text = render.written(value)?;
    render.budget.scan(text.len())?;
    Ok(text)
}

/// Python's `str.islower`: some letter has case, and none is upper case.
pub(super) fn is_lower(text: &str) -> bool {
    text.contains(char::is_lowercase) && !text.contains(char::is_uppercase)
}

/// Python's `str.isupper`.
pub(super) fn is_upper(text: &str) -> bool {
    text.contains(char::is_uppercase) && !text.contains(char::is_lowercase)
}
