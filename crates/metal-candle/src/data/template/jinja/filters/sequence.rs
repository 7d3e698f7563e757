//! Filters of lists and other things with items.

use std::rc::Rc;

use super::super::ast::Operator;
use super::super::error::{Error, Result};
use super::super::render::{Args, Render, arithmetic};
use super::super::value::{Items, Stream, Value, View, ViewKind};
use super::attribute::Path;

/// `default(default_value="", boolean=false)`.
pub(super) fn default(value: Value, args: Args) -> Result<Value> {
    let [default, boolean] = args.bind("default", ["default_value", "boolean"])?;
    let boolean = boolean.is_some_and(|boolean| boolean.is_true());
    if value.is_undefined() || (boolean && !value.is_true()) {
        return Ok(default.unwrap_or_else(|| Value::str("")));
    }
    Ok(value)
}

pub(super) fn length(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("length")?;
    render.length_of(value).map(Value::count)
}

pub(super) fn list(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("list")?;
    let items = render.iterate(value)?;
    Value::list(items.values.clone(), &render.budget)
}

pub(super) fn first(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("first")?;
    let first = match value {
        Value::Stream(stream) => stream.next(),
        Value::Str(text) => {
            let c = text.text.chars().next();
            c.map(|c| Value::text(c.to_string(), text.escaped))
        }
        other => render.iterate(other)?.values.first().cloned(),
    };
    Ok(first.unwrap_or_else(|| Value::undefined("first item of nothing")))
}

pub(super) fn last(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("last")?;
    if let Value::Stream(_) = value {
        return Err(Error::render("'generator' object is not reversible"));
    }
    let last = render.iterate(value)?.values.last().cloned();
    Ok(last.unwrap_or_else(|| Value::undefined("last item of nothing")))
}

pub(super) fn items(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("items")?;
    let items = match value {
        Value::Undefined(_) => Items::new(Vec::new(), &render.budget)?,
        Value::Dict(dict) => {
            let (dict, kind) = (dict.clone(), ViewKind::Items);
            View { dict, kind }.items(&render.budget)?
        }
        _ => return Err(Error::render("Can only get item pairs from a mapping.")),
    };
    Ok(Stream::value(items))
}

/// `join(d="", attribute=none)`.
pub(super) fn join(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [separator, attribute] = args.bind("join", ["d", "attribute"])?;
    let separator = match separator {
        Some(separator) => render.written(&separator)?,
        None => "".into(),
    };
    let path = Path::new(attribute.as_ref());
    let mut text = String::new();
    for (i, item) in render.iterate(value)?.values.iter().enumerate() {
        let item = path.of(render, item, None)?;
        let part = render.written(&item)?;
        let separator = if i > 0 { &*separator } else { "" };
        render.budget.text(separator.len() + part.len())?;
        render
            .budget
            .grown(text.len() + separator.len() + part.len())?;
        text.push_str(separator);
        text.push_str(&part);
    }
    Ok(Value::str(text))
}

pub(super) fn reverse(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("reverse")?;
    if let Value::Str(text) = value {
        render.budget.text(text.text.len())?;
        let reversed: String = text.text.chars().rev().collect();
        return Ok(Value::text(reversed, text.escaped));
    }
    let mut values = render.iterate(value)?.values.clone();
    values.reverse();
    let items = Items::new(values, &render.budget)?;
    Ok(match value {
        Value::Stream(_) => Value::List(items),
        _ => Stream::value(items),
    })
}

/// `sum(attribute=none, start=0)`.
pub(super) fn sum(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [attribute, start] = args.bind("sum", ["attribute", "start"])?;
    let mut sum = start.unwrap_or(Value::Int(0));
    if let Value::Str(_) = sum {
        return Err(Error::render(
            "sum() can't sum strings [use ''.join(seq) instead]",
        ));
    }
    let path = Path::new(attribute.as_ref());
    for item in &render.iterate(value)?.values {
        let item = path.of(render, item, None)?;
        sum = arithmetic(render, Operator::Add, &sum, &item)?;
    }
    Ok(sum)
}

/// A number of pieces or of items, which Python takes as it is.
fn size(value: Option<Value>, name: &str) -> Result<i128> {
    let size = value.as_ref().and_then(Value::as_int);
    size.ok_or_else(|| Error::render(format!("{name} needs a number")))
}

/// `batch(linecount, fill_with=none)`: lists of so many items.
pub(super) fn batch(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [size_of, fill] = args.bind("batch", ["linecount", "fill_with"])?;
    let size_of = size(size_of, "batch")?;
    let mut rows = Vec::new();
    let mut row: Vec<Value> = Vec::new();
    for item in &render.iterate(value)?.values {
        if row.len() as i128 == size_of {
            rows.push(Value::list(std::mem::take(&mut row), &render.budget)?);
        }
        row.push(item.clone());
    }
    if !row.is_empty() {
        fill_up(render, &mut row, size_of, fill)?;
        rows.push(Value::list(row, &render.budget)?);
    }
    streamed(render, rows)
}

fn fill_up(
    render: &Render<'_>,
    row: &mut Vec<Value>,
    size_of: i128,
    fill: Option<Value>,
) -> Result<()> {
    let missing = usize::try_from(size_of - row.len() as i128).unwrap_or(0);
    if let Some(fill) = fill.filter(|fill| !matches!(fill, Value::None)) {
        render.budget.items(missing)?;
        row.extend(std::iter::repeat_n(fill, missing));
    }
    Ok(())
}

/// `slice(slices, fill_with=none)`: so many lists.
pub(super) fn slice(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [n, fill] = args.bind("slice", ["slices", "fill_with"])?;
    let n = size(n, "slice")?;
    let items = render.iterate(value)?;
    if n == 0 {
        return Err(Error::render("division by zero"));
    }
    let n = usize::try_from(n).unwrap_or(0);
    render.budget.items(n.saturating_mul(2))?;
    let (each, longer) = match n {
        0 => (0, 0),
        _ => (items.values.len() / n, items.values.len() % n),
    };
    let mut slices = Vec::with_capacity(n);
    let mut rest = &items.values[..];
    for i in 0..n {
        let (head, tail) = rest.split_at(each + usize::from(i < longer));
        let mut slice = head.to_vec();
        if i >= longer {
            let full = head.len() as i128 + 1;
            fill_up(render, &mut slice, full, fill.clone())?;
        }
        slices.push(Value::list(slice, &render.budget)?);
        rest = tail;
    }
    streamed(render, slices)
}

pub(super) fn streamed(render: &Render<'_>, values: Vec<Value>) -> Result<Value> {
    let items: Rc<Items> = Items::new(values, &render.budget)?;
    Ok(Stream::value(items))
}
