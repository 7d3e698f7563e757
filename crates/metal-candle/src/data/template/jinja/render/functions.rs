//! Functions of the environment.

use std::sync::Arc;

use super::super::clock;
use super::super::error::{Error, Result};
use super::super::value::{Cycler, Dict, Function, Items, Joiner, Range, Value};
use super::assign::check_attribute;
use super::{Args, Render};

/// Function by its name; what there is none of is undefined.
pub(super) fn global(name: &Arc<str>) -> Result<Value> {
    Ok(Value::Function(match &**name {
        "range" => Function::Range,
        "dict" => Function::Dict,
        "namespace" => Function::Namespace,
        "cycler" => Function::Cycler,
        "joiner" => Function::Joiner,
        "raise_exception" => Function::RaiseException,
        "strftime_now" => Function::StrftimeNow,
        "lipsum" | "self" => return Err(Error::unsupported(name)),
        _ => return Ok(Value::Undefined(name.clone())),
    }))
}

pub(super) fn call(render: &mut Render<'_>, function: Function, args: Args) -> Result<Value> {
    match function {
        Function::Range => range(args),
        Function::Dict => Ok(Value::Dict(dict(render, args)?)),
        Function::Namespace => namespace(render, args),
        Function::Cycler => {
            let items = args.only_positional("cycler")?;
            if items.is_empty() {
                return Err(Error::render("at least one item has to be provided"));
            }
            Ok(Cycler::value(Items::new(items, &render.budget)?))
        }
        Function::Joiner => {
            let [separator] = args.bind("joiner", ["sep"])?;
            match separator.unwrap_or_else(|| Value::str(", ")) {
                separator @ Value::Str(_) => Ok(Joiner::value(separator)),
                _ => Err(Error::unsupported("a joiner of other than a text")),
            }
        }
        Function::RaiseException => {
            let [message] = args.bind("raise_exception", ["message"])?;
            let message = message.ok_or_else(|| missing("raise_exception", "message"))?;
            Err(Error::raised(render.written(&message)?.to_string()))
        }
        Function::StrftimeNow => {
            let [format] = args.bind("strftime_now", ["format"])?;
            let format = format.ok_or_else(|| missing("strftime_now", "format"))?;
            let Value::Str(format) = format else {
                return Err(Error::render("strftime_now() needs a text"));
            };
            render.budget.repeated(format.text.len(), 9)?;
            clock::formatted_now(&format.text).map(Value::str)
        }
    }
}

pub(in super::super) fn missing(function: &str, parameter: &str) -> Error {
    Error::render(format!("{function}() needs the argument '{parameter}'"))
}

fn range(args: Args) -> Result<Value> {
    let mut bounds = Vec::new();
    for value in args.only_positional("range")? {
        bounds.push(match value {
            Value::Undefined(name) => return Err(Value::undefined_error(&name)),
            other => other.as_int().ok_or_else(|| {
                let got = other.type_name();
                Error::render(format!(
                    "'{got}' object cannot be interpreted as an integer"
                ))
            })?,
        });
    }
    let range = match *bounds {
        [stop] => Range::new(0, stop, 1),
        [start, stop] => Range::new(start, stop, 1),
        [start, stop, step] => Range::new(start, stop, step),
        _ => Err(Error::render("range() takes one to three arguments")),
    };
    range.map(Value::Range)
}

/// Python's `dict(mapping or pairs, name=value)`.
fn dict(render: &mut Render<'_>, mut args: Args) -> Result<std::rc::Rc<Dict>> {
    let first = args.split_first();
    if !args.positional.is_empty() {
        return Err(Error::render("dict expected at most 1 argument"));
    }
    let mut entries = match first {
        None => Vec::new(),
        Some(Value::Dict(dict)) => dict.entries.clone(),
        Some(other) => pairs(render, &other)?,
    };
    entries.extend(
        args.named
            .into_iter()
            .map(|(name, value)| (Value::str(name), value)),
    );
    render.budget.items(entries.len())?;
    Dict::collect(entries, &render.budget)
}

fn pairs(render: &Render<'_>, value: &Value) -> Result<Vec<(Value, Value)>> {
    let items = render.iterate(value)?;
    let mut entries = Vec::with_capacity(items.values.len());
    for item in &items.values {
        match &*render.iterate(item)?.values {
            [key, value] => entries.push((key.clone(), value.clone())),
            other => {
                let n = other.len();
                let message = format!("dictionary update sequence element has length {n}, not 2");
                return Err(Error::render(message));
            }
        }
    }
    Ok(entries)
}

fn namespace(render: &mut Render<'_>, args: Args) -> Result<Value> {
    let dict = dict(render, args)?;
    let mut attributes = Vec::with_capacity(dict.entries.len());
    for (name, value) in &dict.entries {
        let Value::Str(name) = name else {
            return Err(Error::unsupported(
                "a namespace with a name that is no text",
            ));
        };
        check_attribute(&name.text)?;
        attributes.push((name.text.clone(), value.clone()));
    }
    render.namespace(attributes)
}
