//! `map`, `select` and their kin.

use super::super::error::{Error, Result};
use super::super::predicates;
use super::super::render::{Args, Render};
use super::super::value::Value;
use super::attribute::Path;
use super::sequence::streamed;

/// `map(filter, ...)` or `map(attribute=..., default=...)`.
pub(super) fn map(render: &mut Render<'_>, value: &Value, mut args: Args) -> Result<Value> {
    if !value.is_true() {
        return streamed(render, Vec::new());
    }
    let items = render.iterate(value)?;
    let mut mapped = Vec::with_capacity(items.values.len());
    if args.positional.is_empty() {
        let [attribute, default] = args.bind("map", ["attribute", "default"])?;
        if attribute.is_none() {
            return Err(Error::render("map requires a filter argument"));
        }
        let path = Path::new(attribute.as_ref());
        let default = default.filter(|default| !matches!(default, Value::None));
        for item in &items.values {
            mapped.push(path.of(render, item, default.as_ref())?);
        }
    } else {
        let name = args.split_first();
        let name = name_of(name.as_ref())?;
        for item in &items.values {
            render.budget.spend(1 + args.positional.len())?;
            mapped.push(super::apply(render, &name, item.clone(), args.clone())?);
        }
    }
    streamed(render, mapped)
}

fn name_of(value: Option<&Value>) -> Result<std::sync::Arc<str>> {
    match value {
        Some(Value::Str(name)) => Ok(name.text.clone()),
        _ => Err(Error::render("the name of a filter or test must be a text")),
    }
}

/// `select(test, ...)`, with an attribute before the test if `by_attribute`: items for which the
/// test gives `wanted`. Without a test it is their truth.
pub(super) fn select(
    render: &mut Render<'_>,
    value: &Value,
    mut args: Args,
    by_attribute: bool,
    wanted: bool,
) -> Result<Value> {
    if !value.is_true() {
        return streamed(render, Vec::new());
    }
    let mut path = Path::new(None);
    if by_attribute {
        let attribute = args.split_first();
        if attribute.is_none() {
            return Err(Error::render("Missing parameter for attribute name"));
        }
        path = Path::new(attribute.as_ref());
    }
    let test = args.split_first();
    let test = test.map(|test| name_of(Some(&test))).transpose()?;
    let mut selected = Vec::new();
    for item in &render.iterate(value)?.values {
        render.budget.spend(1 + args.positional.len())?;
        let subject = path.of(render, item, None)?;
        let holds = match &test {
            Some(test) => predicates::holds(render, test, &subject, args.clone())?,
            None => subject.is_true(),
        };
        if holds == wanted {
            selected.push(item.clone());
        }
    }
    streamed(render, selected)
}
