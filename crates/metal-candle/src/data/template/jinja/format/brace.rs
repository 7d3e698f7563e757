//! The method `format` of texts, as the sandbox runs it.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::value::Value;
use super::spec;

/// Source of the values of the fields.
struct Fields<'a> {
    positional: &'a [Value],
    named: &'a dyn Fn(&str) -> Result<Option<Value>>,
    /// Fields without a number so far; `None` once one had a number.
    automatic: Option<usize>,
}

/// `text.format(...)`.
pub(in super::super) fn format(render: &mut Render<'_>, text: &str, args: Args) -> Result<Value> {
    let find = |name: &str| {
        let found = args.named.iter().find(|(other, _)| **other == *name);
        Ok(found.map(|(_, value)| value.clone()))
    };
    formatted(render, text, &args.positional, &find)
}

/// `text.format_map(mapping)`.
pub(in super::super) fn format_map(
    render: &mut Render<'_>,
    text: &str,
    mapping: &Value,
) -> Result<Value> {
    let Value::Dict(dict) = mapping else {
        return Err(Error::unsupported("format_map of other than a dict"));
    };
    let find = |name: &str| {
        let found = dict
            .entries
            .iter()
            .find(|(key, _)| key.as_str() == Some(name));
        Ok(found.map(|(_, value)| value.clone()))
    };
    formatted(render, text, &[], &find)
}

fn formatted(
    render: &mut Render<'_>,
    text: &str,
    positional: &[Value],
    named: &dyn Fn(&str) -> Result<Option<Value>>,
) -> Result<Value> {
    let mut fields = Fields {
        positional,
        named,
        automatic: Some(0),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err(Error::render("Single '}' encountered in format string"));
        }
        let end = field_end(rest)?;
        let part = field(render, &rest[..end], &mut fields)?;
        render.budget.grown(out.len() + part.len())?;
        out.push_str(&part);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    render.budget.text(out.len())?;
    Ok(Value::str(out))
}

fn field_end(text: &str) -> Result<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        open += i32::from(c == '{') - i32::from(c == '}');
        if open == 0 {
            return Ok(at);
        }
    }
    Err(Error::render("expected '}' before end of string"))
}

/// Text of one field: `name!conversion:spec`.
fn field(render: &mut Render<'_>, text: &str, fields: &mut Fields<'_>) -> Result<String> {
    let (head, spec) = text.split_once(':').unwrap_or((text, ""));
    let (name, conversion) = match head.split_once('!') {
        Some((name, conversion)) => (name, Some(conversion)),
        None => (head, None),
    };
    let value = fields.value(render, name)?;
    if let Value::Str(text) = &value
        && text.escaped
    {
        return Err(Error::unsupported("format() with escaped text"));
    }
    let value = match conversion {
        None => value,
        Some("s") => Value::str(render.written(&value)?),
        Some("r") => Value::str(render.repr(&value)?),
        Some(other) => return Err(Error::unsupported(format!("the conversion '!{other}'"))),
    };
    spec::apply(render, &value, spec)
}

impl Fields<'_> {
    fn value(&mut self, render: &mut Render<'_>, name: &str) -> Result<Value> {
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (first, mut path) = name.split_at(end);
        let mut value = self.first(first)?;
        while !path.is_empty() {
            render.budget.spend(1)?;
            if let Some(rest) = path.strip_prefix('.') {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let name: Arc<str> = rest[..end].into();
                value = render.attribute(&value, &name)?;
                path = &rest[end..];
            } else {
                let end = path
                    .find(']')
                    .ok_or_else(|| Error::render("Missing ']' in format string"))?;
                let key = &path[1..end];
                let key = match key.parse() {
                    Ok(index) if key.bytes().all(|byte| byte.is_ascii_digit()) => Value::Int(index),
                    _ => Value::str(key),
                };
                value = render.item(&value, &key)?;
                path = &path[end + 1..];
            }
        }
        Ok(value)
    }

    fn first(&mut self, name: &str) -> Result<Value> {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            let found = (self.named)(name)?;
            return found.ok_or_else(|| Error::render(format!("KeyError: '{name}'")));
        }
        let at = match (name.is_empty(), self.automatic) {
            (true, Some(n)) => {
                self.automatic = Some(n + 1);
                n
            }
            (false, None | Some(0)) => {
                self.automatic = None;
                name.parse()
                    .map_err(|_| Error::render("Too many decimal digits"))?
            }
            _ => {
                let message = "cannot switch between automatic and manual field numbering";
                return Err(Error::render(message));
            }
        };
        let message = "Replacement index out of range for positional args tuple";
        self.positional
            .get(at)
            .cloned()
            .ok_or_else(|| Error::render(message))
    }
}
