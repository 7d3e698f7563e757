//! Slices.

use super::super::ast::Expr;
use super::super::error::{Error, Result};
use super::super::value::{Range, Value};
use super::Render;
use super::arithmetic::too_large;

impl<'t> Render<'t> {
    /// `value[start:stop:step]`, plain Python: whatever cannot be sliced is an error.
    pub(super) fn sliced(&mut self, value: &Value, parts: &'t [Option<Expr>; 3]) -> Result<Value> {
        let mut bounds = [None; 3];
        for (bound, part) in bounds.iter_mut().zip(parts) {
            if let Some(part) = part {
                let part = self.value(part)?;
                *bound = bound_of(&part)?;
            }
        }
        match value {
            Value::List(items) => {
                self.budget.items(items.values.len())?;
                let values = selected(&items.values, bounds)?;
                Value::list(values, &self.budget)
            }
            Value::Tuple(items) => {
                self.budget.items(items.values.len())?;
                let values = selected(&items.values, bounds)?;
                Value::tuple(values, &self.budget)
            }
            Value::Str(text) => {
                self.budget.text(text.text.len())?;
                let sliced = sliced_text(&text.text, bounds)?;
                Ok(Value::text(sliced, text.escaped))
            }
            Value::Range(range) => {
                let (start, stop, step) = indices(range.len(), bounds)?;
                let at = |index: i128| range.start + index * range.step;
                let step = range.step.checked_mul(step).ok_or_else(too_large)?;
                Ok(Value::Range(Range::new(at(start), at(stop), step)?))
            }
            Value::Undefined(name) => Err(Value::undefined_error(name)),
            other => Err(Error::render(format!(
                "'{}' cannot be sliced",
                other.type_name()
            ))),
        }
    }
}

fn bound_of(part: &Value) -> Result<Option<i128>> {
    match part {
        Value::None => Ok(None),
        other => match other.as_int() {
            Some(value) => Ok(Some(value)),
            None => Err(Error::render("slice indices must be integers or None")),
        },
    }
}

/// Python's `slice.indices`: first index, the one not reached, and the step.
fn indices(length: usize, [start, stop, step]: [Option<i128>; 3]) -> Result<(i128, i128, i128)> {
    let length = length as i128;
    let step = step.unwrap_or(1).clamp(-(1 << 64), 1 << 64);
    if step == 0 {
        return Err(Error::render("slice step cannot be zero"));
    }
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let bound = |bound: Option<i128>, default| match bound {
        None => default,
        Some(bound) if bound < 0 => bound.saturating_add(length).clamp(low, high),
        Some(bound) => bound.clamp(low, high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    Ok((bound(start, first), bound(stop, last), step))
}

fn selected<T: Clone>(items: &[T], bounds: [Option<i128>; 3]) -> Result<Vec<T>> {
    let (mut at, stop, step) = indices(items.len(), bounds)?;
    let mut chosen = Vec::new();
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        chosen.extend(items.get(at as usize).cloned());
        at += step;
    }
    Ok(chosen)
}

/// Slice of the characters of `text`.
fn sliced_text(text: &str, bounds: [Option<i128>; 3]) -> Result<String> {
    if text.is_ascii() {
        let bytes = selected(text.as_bytes(), bounds)?;
        return Ok(bytes.into_iter().map(char::from).collect());
    }
    let chars: Vec<char> = text.chars().collect();
    Ok(selected(&chars, bounds)?.into_iter().collect())
}
