//! Filters for HTML and addresses.

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::text::is_space;
use super::super::value::{Text, Value};

/// Text without tags and comments, blanks drawn together.
pub(super) fn striptags(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("striptags")?;
    let text = render.written(value)?;
    render.budget.text(text.len())?;
    render.budget.look(text.len())?;
    let text = without(render, text.to_string(), "<!--", "-->")?;
    let text = without(render, text, "<", ">")?;
    if text.contains('&') {
        return Err(Error::unsupported("striptags of a text with '&'"));
    }
    let words: Vec<&str> = text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    Ok(Value::str(words.join(" ")))
}

/// `text` less all that stands between `open` and `close`, looked for from the beginning each time.
fn without(render: &Render<'_>, mut text: String, open: &str, close: &str) -> Result<String> {
    while let Some(start) = text.find(open) {
        let Some(length) = text[start..].find(close) else {
            break;
        };
        render.budget.scan(text.len())?;
        text.replace_range(start..start + length + close.len(), "");
    }
    Ok(text)
}

/// Text, or pairs of a dict, as a part of an address.
pub(super) fn urlencode(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    args.none("urlencode")?;
    match value {
        Value::Dict(dict) => {
            let mut parts = Vec::new();
            for (key, value) in &dict.entries {
                let (key, value) = (quoted(render, key, true)?, quoted(render, value, true)?);
                parts.push(format!("{key}={value}"));
            }
            Ok(Value::str(parts.join("&")))
        }
        Value::List(_) | Value::Tuple(_) | Value::Stream(_) | Value::View(_) => {
            Err(Error::unsupported("urlencode of a list"))
        }
        other => quoted(render, other, false).map(Value::str),
    }
}

fn quoted(render: &Render<'_>, value: &Value, in_query: bool) -> Result<String> {
    let text = render.written(value)?;
    render.budget.repeated(text.len(), 3)?;
    render.budget.look(text.len().saturating_mul(3))?;
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'.' | b'-' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if !in_query => out.push('/'),
            b' ' if in_query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(out)
}

/// `xmlattr(autospace=true)`: a dict as attributes of a tag.
pub(super) fn xmlattr(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [autospace] = args.bind("xmlattr", ["autospace"])?;
    let Value::Dict(dict) = value else {
        return Err(Error::render(format!(
            "'{}' has no attributes",
            value.type_name()
        )));
    };
    let mut out = String::new();
    for (key, value) in &dict.entries {
        if matches!(value, Value::None | Value::Undefined(_)) {
            continue;
        }
        let Value::Str(name) = key else {
            return Err(Error::render("an attribute's name must be a text"));
        };
        let ends_name = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=' | '\x0b');
        if name.text.contains(ends_name) {
            let message = format!("Invalid character in attribute name: '{}'", name.text);
            return Err(Error::render(message));
        }
        let value = match value {
            Value::Str(text) => text.clone(),
            other => Text {
                text: render.written(other)?,
                escaped: false,
            },
        };
        let (name, value) = (render.escaped(name)?, render.escaped(&value)?);
        render.budget.grown(out.len() + name.len() + value.len())?;
        out.push_str(if out.is_empty() { "" } else { " " });
        out.push_str(&format!("{name}=\"{value}\""));
    }
    let space = autospace.is_none_or(|autospace| autospace.is_true()) && !out.is_empty();
    Ok(Value::str(if space { format!(" {out}") } else { out }))
}
