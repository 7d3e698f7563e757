//! Equality, order and membership as in Python.

use std::cmp::Ordering;
use std::rc::Rc;

use super::super::limits::Budget;
use super::{Error, Items, Result, Value};

/// Python's `==`.
pub(in super::super) fn equal(a: &Value, b: &Value, budget: &Budget) -> Result<bool> {
    budget.spend(1)?;
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return Ok(a == b);
    }
    if let (Some(x), Some(y)) = (a.as_float(), b.as_float()) {
        return Ok(mixed_order(a, b, x, y) == Some(Ordering::Equal));
    }
    Ok(match (a, b) {
        (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
        (Value::Str(a), Value::Str(b)) => {
            budget.scan(a.text.len())?;
            a.text == b.text
        }
        (Value::Digits(a), Value::Digits(b)) => a == b,
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            items_equal(a, b, budget)?
        }
        (Value::Dict(a), Value::Dict(b)) => {
            if a.entries.len() != b.entries.len() {
                return Ok(false);
            }
            for (key, value) in &a.entries {
                match b.get(key, budget)? {
                    Some(other) if equal(value, other, budget)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Range(a), Value::Range(b)) => {
            let same = |at| equal(&a.get(at), &b.get(at), budget);
            let n = a.len();
            n == b.len() && (n == 0 || (same(0)? && same(n - 1)?))
        }
        (Value::Namespace(a), Value::Namespace(b)) | (Value::Macro(a), Value::Macro(b)) => a == b,
        (Value::Loop(a), Value::Loop(b)) => a == b,
        (Value::Stream(a), Value::Stream(b)) => Rc::ptr_eq(a, b),
        (Value::Cycler(a), Value::Cycler(b)) => Rc::ptr_eq(a, b),
        (Value::Joiner(a), Value::Joiner(b)) => Rc::ptr_eq(a, b),
        (Value::Function(a), Value::Function(b)) => a == b,
        (Value::View(_), Value::View(_)) | (Value::Method(_), Value::Method(_)) => {
            return Err(Error::unsupported(format!("comparing a {}", a.type_name())));
        }
        _ => false,
    })
}

fn items_equal(a: &Rc<Items>, b: &Rc<Items>, budget: &Budget) -> Result<bool> {
    if a.values.len() != b.values.len() {
        return Ok(false);
    }
    for (a, b) in a.values.iter().zip(&b.values) {
        if !same_or_equal(a, b, budget)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Python takes a float that is not a number as equal to itself inside of containers; which of two
/// such floats are one object is not known here.
fn same_or_equal(a: &Value, b: &Value, budget: &Budget) -> Result<bool> {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) if a.is_nan() && b.is_nan() => {
            Err(Error::unsupported("comparing nan inside of a container"))
        }
        _ => equal(a, b, budget),
    }
}

/// Equality of keys of a dict.
pub(in super::super) fn key_equal(a: &Value, b: &Value, budget: &Budget) -> Result<bool> {
    same_or_equal(a, b, budget)
}

/// Python's `<`, `>` and so on; `None` where nan is involved.
///
/// # Errors
/// When the values have no order.
pub(in super::super) fn compare(a: &Value, b: &Value, budget: &Budget) -> Result<Option<Ordering>> {
    budget.spend(1)?;
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int()) {
        return Ok(Some(a.cmp(&b)));
    }
    if let (Some(x), Some(y)) = (a.as_float(), b.as_float()) {
        return Ok(mixed_order(a, b, x, y));
    }
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => {
            budget.scan(a.text.len().min(b.text.len()))?;
            Ok(Some(a.text.cmp(&b.text)))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            compare_items(a, b, budget)
        }
        (Value::Undefined(name), _) | (_, Value::Undefined(name)) => {
            Err(Value::undefined_error(name))
        }
        _ => {
            let (a, b) = (a.type_name(), b.type_name());
            let message = format!("'<' not supported between instances of '{a}' and '{b}'");
            Err(Error::render(message))
        }
    }
}

fn compare_items(a: &Items, b: &Items, budget: &Budget) -> Result<Option<Ordering>> {
    for (a, b) in a.values.iter().zip(&b.values) {
        if !same_or_equal(a, b, budget)? {
            return compare(a, b, budget);
        }
    }
    Ok(Some(a.values.len().cmp(&b.values.len())))
}

/// Order of two numbers of which one is a float at least. Python compares an integer exactly.
fn mixed_order(a: &Value, b: &Value, x: f64, y: f64) -> Option<Ordering> {
    match (a.as_int(), b.as_int()) {
        (Some(a), None) => int_to_float_order(a, y),
        (None, Some(b)) => int_to_float_order(b, x).map(Ordering::reverse),
        _ => x.partial_cmp(&y),
    }
}

fn int_to_float_order(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float >= 1.7e38 {
        return Some(Ordering::Less);
    }
    if float <= -1.7e38 {
        return Some(Ordering::Greater);
    }
    let whole = float.trunc();
    let order = int.cmp(&(whole as i128));
    Some(order.then(whole.partial_cmp(&float)?))
}

/// Python's `in`.
pub(in super::super) fn contains(container: &Value, item: &Value, budget: &Budget) -> Result<bool> {
    match container {
        Value::Str(text) => match item {
            Value::Str(item) => {
                budget.scan(text.text.len())?;
                Ok(text.text.contains(&*item.text))
            }
            other => {
                let got = other.type_name();
                let message = format!("'in <string>' requires string as left operand, not {got}");
                Err(Error::render(message))
            }
        },
        Value::Dict(dict) => Ok(dict.get(item, budget)?.is_some()),
        Value::List(items) | Value::Tuple(items) => any_equal(&items.values, item, budget),
        Value::Range(range) => {
            let values: Vec<_> = (0..range.len()).map(|at| range.get(at)).collect();
            budget.items(values.len())?;
            any_equal(&values, item, budget)
        }
        Value::View(view) => any_equal(&view.items(budget)?.values, item, budget),
        Value::Stream(stream) => {
            while let Some(value) = stream.next() {
                if same_or_equal(&value, item, budget)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Undefined(_) => Ok(false),
        other => {
            let got = other.type_name();
            Err(Error::render(format!(
                "argument of type '{got}' is not iterable"
            )))
        }
    }
}

fn any_equal(values: &[Value], item: &Value, budget: &Budget) -> Result<bool> {
    for value in values {
        if same_or_equal(value, item, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}
