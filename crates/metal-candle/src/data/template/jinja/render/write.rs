//! Values as text: Python's `str` and `repr`.

use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::limits::MAX_VALUE_DEPTH;
use super::super::value::{Text, Value, ViewKind, float_repr, text_repr};
use super::Render;

impl Render<'_> {
    /// Python's `str`.
    pub(in super::super) fn written(&self, value: &Value) -> Result<Arc<str>> {
        match value {
            Value::Str(text) => Ok(text.text.clone()),
            Value::Undefined(_) => Ok("".into()),
            other => Ok(self.repr(other)?.into()),
        }
    }

    /// Python's `repr`.
    pub(in super::super) fn repr(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        self.write(&mut out, value, 0)?;
        self.budget.text(out.len())?;
        Ok(out)
    }

    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<()> {
        self.budget.spend(4)?;
        self.budget.grown(out.len())?;
        // Only a namespace inside of itself goes beyond the depth of values.
        if depth > MAX_VALUE_DEPTH {
            return Err(Error::render(
                "a namespace that contains itself cannot be written",
            ));
        }
        match value {
            Value::Undefined(_) => out.push_str("Undefined"),
            Value::None => out.push_str("None"),
            Value::Bool(value) => out.push_str(if *value { "True" } else { "False" }),
            Value::Int(value) => out.push_str(&value.to_string()),
            Value::Digits(digits) => out.push_str(digits),
            Value::Float(value) => out.push_str(&float_repr(*value)),
            Value::Str(text) => self.write_text(out, text)?,
            Value::List(items) => self.write_items(out, ("[", "]"), &items.values, depth)?,
            Value::Tuple(items) => {
                let close = if items.values.len() == 1 { ",)" } else { ")" };
                self.write_items(out, ("(", close), &items.values, depth)?;
            }
            Value::Dict(dict) => self.write_entries(out, &dict.entries, depth)?,
            Value::View(view) => {
                let items = view.items(&self.budget)?;
                let open = match view.kind {
                    ViewKind::Keys => "dict_keys([",
                    ViewKind::Values => "dict_values([",
                    ViewKind::Items => "dict_items([",
                };
                self.write_items(out, (open, "])"), &items.values, depth)?;
            }
            Value::Range(range) => {
                let (start, stop, step) = (range.start, range.stop, range.step);
                out.push_str(&match step {
                    1 => format!("range({start}, {stop})"),
                    _ => format!("range({start}, {stop}, {step})"),
                });
            }
            Value::Namespace(id) => {
                out.push_str("<Namespace ");
                let attributes = self.namespaces[*id].iter();
                let entries: Vec<_> = attributes
                    .map(|(name, value)| (Value::str(name.clone()), value.clone()))
                    .collect();
                self.budget.items(entries.len())?;
                self.write_entries(out, &entries, depth)?;
                out.push('>');
            }
            Value::Macro(id) => out.push_str(&format!("<Macro '{}'>", self.macro_name(*id))),
            other => {
                let what = format!("a {} as text", other.type_name());
                return Err(Error::unsupported(what));
            }
        }
        Ok(())
    }

    fn write_text(&self, out: &mut String, text: &Text) -> Result<()> {
        self.budget.text(text.text.len())?;
        self.budget.look(text.text.len())?;
        let repr = text_repr(&text.text);
        match text.escaped {
            true => out.extend(["Markup(", &repr, ")"]),
            false => out.push_str(&repr),
        }
        Ok(())
    }

    fn write_items(
        &self,
        out: &mut String,
        (open, close): (&str, &str),
        items: &[Value],
        depth: usize,
    ) -> Result<()> {
        out.push_str(open);
        for (i, item) in items.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            self.write(out, item, depth + 1)?;
        }
        out.push_str(close);
        Ok(())
    }

    fn write_entries(
        &self,
        out: &mut String,
        entries: &[(Value, Value)],
        depth: usize,
    ) -> Result<()> {
        out.push('{');
        for (i, (key, value)) in entries.iter().enumerate() {
            out.push_str(if i > 0 { ", " } else { "" });
            self.write(out, key, depth + 1)?;
            out.push_str(": ");
            self.write(out, value, depth + 1)?;
        }
        out.push('}');
        Ok(())
    }

    /// Text as escaped HTML.
    pub(in super::super) fn escaped(&self, text: &Text) -> Result<Arc<str>> {
        if text.escaped {
            return Ok(text.text.clone());
        }
        self.budget.text(text.text.len())?;
        self.budget.look(text.text.len())?;
        let mut out = String::with_capacity(text.text.len());
        for c in text.text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&#34;"),
                '\'' => out.push_str("&#39;"),
                c => out.push(c),
            }
        }
        Ok(out.into())
    }
}
