//! The `tojson` filter: Python's `json.dumps`, of which transformers exposes `ensure_ascii`,
//! `indent`, `separators`, `sort_keys`.
//!
//! Unlike Jinja2's own filter it escapes no HTML and keeps the order of keys.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use crate::data::json::{PythonNumber, repr};

/// `json.dumps(value, ensure_ascii=False, indent=None, separators=None, *, sort_keys=False)`.
pub(super) fn tojson(
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<Value>,
    separators: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let indent = indent.map_or_else(|| kwargs.get("indent"), |indent| Ok(Some(indent)))?;
    let separators = separators.map_or_else(
        || kwargs.get("separators"),
        |separators| Ok(Some(separators)),
    )?;
    let indent = indent
        .filter(|value| !value.is_none())
        .map(|value| indent_unit(&value))
        .transpose()?;
    let (item, key) = match separators.filter(|value| !value.is_none()) {
        Some(pair) => (
            pair.get_item_by_index(0)?.to_string(),
            pair.get_item_by_index(1)?.to_string(),
        ),
        // Python drops the space after a comma when a line break follows.
        None => (
            if indent.is_some() { "," } else { ", " }.to_owned(),
            ": ".to_owned(),
        ),
    };
    let mut writer = Writer {
        out: String::new(),
        ensure_ascii: ensure_ascii
            .map_or_else(|| kwargs.get("ensure_ascii"), |flag| Ok(Some(flag)))?
            .unwrap_or(false),
        sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        item,
        key,
        depth: 0,
    };
    kwargs.assert_all_used()?;
    writer.value(value)?;
    Ok(writer.out)
}

/// Python takes a number of spaces (negative: none) or the text itself.
fn indent_unit(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(i64::try_from(value.clone())?.clamp(0, 64).unsigned_abs() as usize)),
    }
}

struct Writer {
    out: String,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item: String,
    key: String,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)?),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.list(value)?,
            ValueKind::Map => self.object(value)?,
            ValueKind::Plain if value.downcast_object_ref::<PythonNumber>().is_some() => {
                self.out.push_str(&number(value)?);
            }
            kind => {
                let reason = format!("a value of type {kind} is not JSON serializable");
                return Err(Error::new(ErrorKind::BadSerialization, reason));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &Value) -> Result<(), Error> {
        let items: Vec<Value> = list.try_iter()?.collect();
        self.container('[', ']', &items, Self::value)
    }

    fn object(&mut self, object: &Value) -> Result<(), Error> {
        let mut entries = Vec::new();
        for key in object.try_iter()? {
            entries.push((key_text(&key)?, object.get_item(&key)?));
        }
        if self.sort_keys {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        self.container('{', '}', &entries, |writer, (key, value)| {
            writer.string(key);
            writer.out.push_str(&writer.key.clone());
            writer.value(value)
        })
    }

    fn container<T>(
        &mut self,
        open: char,
        close: char,
        items: &[T],
        write: impl Fn(&mut Self, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        self.depth += 1;
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(&self.item.clone());
            }
            self.line_break();
            write(self, item)?;
        }
        self.depth -= 1;
        if !items.is_empty() {
            self.line_break();
        }
        self.out.push(close);
        Ok(())
    }

    fn line_break(&mut self) {
        if let Some(unit) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&unit.repeat(self.depth));
        }
    }

    fn string(&mut self, text: &str) {
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
    }

    /// `\uXXXX`, as a surrogate pair beyond the basic plane.
    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}

fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::Number => number(key),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        kind => Err(Error::new(
            ErrorKind::BadSerialization,
            format!("a JSON key cannot be of type {kind}"),
        )),
    }
}

fn number(value: &Value) -> Result<String, Error> {
    if value.is_integer() || value.downcast_object_ref::<PythonNumber>().is_some() {
        return Ok(value.to_string());
    }
    Ok(float(f64::try_from(value.clone())?))
}

/// Python's `repr` of a float, with JSON's names for the values that have no digits.
fn float(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "NaN"
        } else if x > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    repr(x)
}
