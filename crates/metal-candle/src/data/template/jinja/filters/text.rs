//! Filters of texts. Whatever is no text is written as one first.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::format::percent;
use super::super::render::{Args, Render};
use super::super::text::{capitalized, is_alphanumeric, is_space, left_of_centre, lines};
use super::super::value::{Text, Value};

/// Filters that take nothing but their text.
const WITHOUT_ARGUMENTS: [&str; 10] = [
    "capitalize",
    "e",
    "escape",
    "forceescape",
    "lower",
    "safe",
    "string",
    "title",
    "upper",
    "wordcount",
];

pub(super) fn apply(
    render: &mut Render<'_>,
    name: &str,
    value: &Value,
    args: Args,
) -> Result<Value> {
    match name {
        "indent" => return indent(render, value, args),
        "truncate" => return truncate(render, value, args),
        "pprint" => return pprint(render, value, args),
        _ => {}
    }
    let text = soft(render, value)?;
    let (source, escaped) = (&*text.text, text.escaped);
    render.budget.text(source.len())?;
    if name != "string" {
        render.budget.look(source.len())?;
    }
    match name {
        "trim" => trim(&text, args),
        "center" => Ok(Value::text(center(render, source, args)?, escaped)),
        "replace" => replace(render, source, args),
        "format" => format(render, &text, args),
        _ if WITHOUT_ARGUMENTS.contains(&name) => {
            args.none(name)?;
            plain(render, name, text)
        }
        _ => Err(Error::unsupported(format!("the filter '{name}'"))),
    }
}

/// One of [`WITHOUT_ARGUMENTS`].
fn plain(render: &mut Render<'_>, name: &str, text: Text) -> Result<Value> {
    let (source, escaped) = (&*text.text, text.escaped);
    Ok(match name {
        "upper" => Value::text(source.to_uppercase(), escaped),
        "lower" => Value::text(source.to_lowercase(), escaped),
        "capitalize" => Value::text(capitalized(source)?, escaped),
        "title" => Value::str(title(source)),
        "wordcount" => Value::count(n_words(source)),
        "safe" => Value::text(text.text, true),
        "e" | "escape" => Value::text(render.escaped(&text)?, true),
        "forceescape" => {
            let (text, escaped) = (text.text, false);
            Value::text(render.escaped(&Text { text, escaped })?, true)
        }
        // "string"
        _ => Value::Str(text),
    })
}

fn n_words(source: &str) -> usize {
    let is_word = |c: char| c == '_' || is_alphanumeric(c);
    let words = source.split(|c| !is_word(c));
    words.filter(|word| !word.is_empty()).count()
}

/// Jinja2's `soft_str`.
fn soft(render: &Render<'_>, value: &Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        other => {
            let (text, escaped) = (render.written(other)?, false);
            Ok(Text { text, escaped })
        }
    }
}

/// Words begin after blanks, hyphens and opening brackets.
fn title(text: &str) -> String {
    let separates = |c: char| is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(separates) {
        let mut chars = part.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
            out.push_str(&chars.as_str().to_lowercase());
        }
    }
    out
}

/// `trim(chars=none)`.
fn trim(text: &Text, args: Args) -> Result<Value> {
    let [chars] = args.bind("trim", ["chars"])?;
    let trimmed = match chars {
        None | Some(Value::None) => text.text.trim_matches(is_space),
        Some(Value::Str(chars)) => text.text.trim_matches(|c| chars.text.contains(c)),
        Some(_) => return Err(Error::render("strip arg must be None or str")),
    };
    Ok(Value::text(trimmed, text.escaped))
}

/// `center(width=80)`.
fn center(render: &Render<'_>, text: &str, args: Args) -> Result<String> {
    let [width] = args.bind("center", ["width"])?;
    let width = width.unwrap_or(Value::Int(80));
    let Some(width) = width.as_int() else {
        return Err(Error::render("center needs a number"));
    };
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    let missing = width.saturating_sub(text.chars().count());
    render.budget.text(text.len().saturating_add(missing))?;
    let left = left_of_centre(missing, width);
    Ok([&*" ".repeat(left), text, &*" ".repeat(missing - left)].concat())
}

/// `replace(old, new, count=none)`.
fn replace(render: &Render<'_>, text: &str, args: Args) -> Result<Value> {
    let [old, new, count] = args.bind("replace", ["old", "new", "count"])?;
    let (Some(old), Some(new)) = (old, new) else {
        return Err(Error::render("replace needs two texts"));
    };
    let (old, new): (Arc<str>, Arc<str>) = (render.written(&old)?, render.written(&new)?);
    let count = match count {
        None | Some(Value::None) => -1,
        Some(count) => count
            .as_int()
            .ok_or_else(|| Error::render("replace needs a count"))?,
    };
    replaced(render, text, &old, &new, count).map(Value::str)
}

/// `str.replace`; a negative count means all.
pub(in super::super) fn replaced(
    render: &Render<'_>,
    text: &str,
    old: &str,
    new: &str,
    count: i128,
) -> Result<String> {
    let limit = usize::try_from(count).unwrap_or(usize::MAX);
    render.budget.scan(text.len())?;
    let n = text.matches(old).take(limit).count();
    render
        .budget
        .text(text.len().saturating_add(n.saturating_mul(new.len())))?;
    Ok(text.replacen(old, new, limit))
}

/// `indent(width=4, first=false, blank=false)`.
fn indent(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [width, first, blank] = args.bind("indent", ["width", "first", "blank"])?;
    let Value::Str(text) = value else {
        return Err(Error::render(format!(
            "a {} cannot be indented",
            value.type_name()
        )));
    };
    if text.escaped {
        return Err(Error::unsupported("indent of escaped text"));
    }
    let unit = match width {
        None => "    ".to_owned(),
        Some(Value::Str(unit)) => unit.text.to_string(),
        Some(other) => {
            let width = other
                .as_int()
                .ok_or_else(|| Error::render("indent needs a width"))?;
            let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
            render.budget.text(width)?;
            " ".repeat(width)
        }
    };
    let (first, blank) = (
        first.is_some_and(|v| v.is_true()),
        blank.is_some_and(|v| v.is_true()),
    );
    let source = format!("{}\n", text.text);
    let lines = lines(&source, false);
    render.budget.text(
        source
            .len()
            .saturating_add(unit.len().saturating_mul(lines.len())),
    )?;
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        out.push_str(if i > 0 { "\n" } else { "" });
        let indented = if i == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        out.push_str(if indented { &unit } else { "" });
        out.push_str(line);
    }
    Ok(Value::str(out))
}

/// `truncate(length=255, killwords=false, end="...", leeway=5)`.
fn truncate(render: &mut Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [length, kill, end, leeway] =
        args.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let number = |value: Option<Value>, default| match value {
        None | Some(Value::None) => Ok(default),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Error::render("truncate needs a number")),
    };
    let (length, leeway) = (number(length, 255)?, number(leeway, 5)?);
    let end = end.unwrap_or_else(|| Value::str("..."));
    let Value::Str(end) = end else {
        return Err(Error::render("truncate needs a text as its end"));
    };
    let end_length = end.text.chars().count() as i128;
    if length < end_length || leeway < 0 {
        return Err(Error::render(format!(
            "expected length >= {end_length}, got {length}"
        )));
    }
    if (render.length_of(value)? as i128) <= length.saturating_add(leeway) {
        return Ok(value.clone());
    }
    let Value::Str(text) = value else {
        return Err(Error::unsupported(format!(
            "truncating a {}",
            value.type_name()
        )));
    };
    if text.escaped || end.escaped {
        return Err(Error::unsupported("truncating escaped text"));
    }
    render.budget.text(text.text.len())?;
    let kept: String = text
        .text
        .chars()
        .take((length - end_length) as usize)
        .collect();
    let kept = match kill.is_some_and(|kill| kill.is_true()) {
        true => &kept[..],
        false => kept.rsplit_once(' ').map_or(&kept[..], |(kept, _)| kept),
    };
    Ok(Value::str([kept, &end.text].concat()))
}

/// `format(*args, **kwargs)`: the operator `%`.
fn format(render: &Render<'_>, text: &Text, args: Args) -> Result<Value> {
    if !args.positional.is_empty() && !args.named.is_empty() {
        let message = "can't handle positional and keyword arguments at the same time";
        return Err(Error::render(message));
    }
    let values = match args.named.is_empty() {
        true => Value::tuple(args.positional, &render.budget)?,
        false => Value::dict(args.named, &render.budget)?,
    };
    percent::format(render, text, &values)
}

/// What Python prints prettily on one line as it is.
fn pprint(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("pprint")?;
    let repr = render.repr(value)?;
    if repr.chars().count() > 80 || repr.contains('{') {
        return Err(Error::unsupported("pprint of long values and dicts"));
    }
    Ok(Value::str(repr))
}
