//! The `tojson` filter: Python's `json.dumps`, of which transformers exposes `ensure_ascii`,
//! `indent`, `separators`, `sort_keys`.
//!
//! Unlike Jinja2's own filter it escapes no HTML and keeps the order of keys.

use std::fmt::Write as _;
use std::sync::Arc;

use super::error::{Error, Result};
use super::filters::sort_keys;
use super::render::{Args, Render};
use super::value::{Items, Value, float_repr};

/// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(render: &Render<'_>, value: &Value, args: Args) -> Result<Value> {
    let [ensure_ascii, indent, separators, sort_keys] = args.bind(
        "tojson",
        ["ensure_ascii", "indent", "separators", "sort_keys"],
    )?;
    let is_true = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(indent) => Some(indent_unit(render, &indent)?),
    };
    let (item, key) = match separators {
        // Python drops the space after a comma when a line break follows.
        None | Some(Value::None) => {
            let item = if indent.is_some() { "," } else { ", " };
            (item.into(), ": ".into())
        }
        Some(pair) => separators_of(&*render.iterate(&pair)?)?,
    };
    let mut writer = Writer {
        render,
        out: String::new(),
        ensure_ascii: is_true(ensure_ascii),
        sort_keys: is_true(sort_keys),
        indent,
        item,
        key,
        depth: 0,
    };
    writer.value(value)?;
    render.budget.text(writer.out.len())?;
    Ok(Value::str(writer.out))
}

/// Python takes a number of spaces (negative: none) or the text itself.
fn indent_unit(render: &Render<'_>, value: &Value) -> Result<Arc<str>> {
    match (value, value.as_int()) {
        (Value::Str(text), _) => Ok(text.text.clone()),
        (_, Some(width)) => {
            let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
            render.budget.text(width)?;
            Ok(" ".repeat(width).into())
        }
        _ => Err(Error::render("tojson needs a number or a text as indent")),
    }
}

fn separators_of(items: &Items) -> Result<(Arc<str>, Arc<str>)> {
    match &*items.values {
        [Value::Str(item), Value::Str(key)] => Ok((item.text.clone(), key.text.clone())),
        _ => Err(Error::render("tojson needs two texts as separators")),
    }
}

struct Writer<'a, 't> {
    render: &'a Render<'t>,
    out: String,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<Arc<str>>,
    item: Arc<str>,
    key: Arc<str>,
    depth: usize,
}

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value) -> Result<()> {
        self.render.budget.spend(4)?;
        self.render.budget.grown(self.out.len())?;
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(value) => self.out.push_str(&value.to_string()),
            Value::Digits(digits) => self.out.push_str(digits),
            Value::Float(value) => self.out.push_str(&float(*value)),
            Value::Str(text) => self.string(&text.text)?,
            Value::List(items) | Value::Tuple(items) => {
                self.container(('[', ']'), &items.values, Self::value)?;
            }
            Value::Dict(dict) => self.object(&dict.entries)?,
            other => {
                let got = other.type_name();
                let message = format!("a value of type {got} is not JSON serializable");
                return Err(Error::render(message));
            }
        }
        Ok(())
    }

    fn object(&mut self, entries: &[(Value, Value)]) -> Result<()> {
        let mut entries = entries.to_vec();
        self.render.budget.items(entries.len().saturating_mul(2))?;
        if self.sort_keys {
            entries = sort_keys(entries, &self.render.budget)?;
        }
        self.container(('{', '}'), &entries, |writer, (key, value)| {
            writer.string(&key_text(key)?)?;
            writer.out.push_str(&writer.key);
            writer.value(value)
        })
    }

    fn container<T>(
        &mut self,
        (open, close): (char, char),
        items: &[T],
        write: impl Fn(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        self.out.push(open);
        self.depth += 1;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(&self.item);
            }
            self.line_break()?;
            write(self, item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.line_break()?;
        }
        self.out.push(close);
        Ok(())
    }

    fn line_break(&mut self) -> Result<()> {
        if let Some(unit) = &self.indent {
            let length = unit.len().saturating_mul(self.depth);
            self.render.budget.scan(length)?;
            self.render
                .budget
                .grown(self.out.len().saturating_add(length))?;
            self.out.push('\n');
            self.out.push_str(&unit.repeat(self.depth));
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<()> {
        self.render.budget.look(text.len())?;
        self.render.budget.grown(self.out.len() + text.len())?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && c > '~') => self.escaped(c),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    /// `\uXXXX`, as a surrogate pair beyond the basic plane.
    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}

fn key_text(key: &Value) -> Result<Arc<str>> {
    Ok(match key {
        Value::Str(text) => text.text.clone(),
        Value::Int(value) => value.to_string().into(),
        Value::Digits(digits) => digits.clone(),
        Value::Float(value) => float(*value).into(),
        Value::Bool(value) => if *value { "true" } else { "false" }.into(),
        Value::None => "null".into(),
        other => {
            let got = other.type_name();
            return Err(Error::render(format!("a JSON key cannot be of type {got}")));
        }
    })
}

/// Python's `repr` of a float, with JavaScript's names for the values that have no digits.
fn float(x: f64) -> String {
    match x {
        x if x.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        x => float_repr(x),
    }
}
