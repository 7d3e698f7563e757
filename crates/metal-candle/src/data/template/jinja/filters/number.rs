//! Filters of numbers.

use super::super::error::{Error, Result};
use super::super::render::Args;
use super::super::value::Value;
use super::parse;

pub(super) fn abs(value: &Value, args: Args) -> Result<Value> {
    args.none("abs")?;
    match value {
        Value::Float(x) => Ok(Value::Float(x.abs())),
        Value::Undefined(name) => Err(Value::undefined_error(name)),
        other => match other.as_int().map(i128::checked_abs) {
            Some(Some(x)) => Ok(Value::Int(x)),
            _ => Err(Error::render(format!(
                "bad operand type for abs(): '{}'",
                other.type_name()
            ))),
        },
    }
}

/// `float(default=0.0)`.
pub(super) fn float(value: &Value, args: Args) -> Result<Value> {
    let [default] = args.bind("float", ["default"])?;
    let parsed = match value {
        Value::Undefined(name) => return Err(Value::undefined_error(name)),
        Value::Digits(_) => {
            return Err(Error::unsupported("a float of an integer beyond 128 bits"));
        }
        Value::Str(text) => parse::float(&text.text)?,
        other => other.as_float(),
    };
    Ok(match parsed {
        Some(x) => Value::Float(x),
        None => default.unwrap_or(Value::Float(0.0)),
    })
}

/// `int(default=0, base=10)`: a text that is no integer is read as a float.
pub(super) fn int(value: &Value, args: Args) -> Result<Value> {
    let [default, base] = args.bind("int", ["default", "base"])?;
    let default = default.unwrap_or(Value::Int(0));
    match value {
        Value::Undefined(name) => Err(Value::undefined_error(name)),
        Value::Digits(_) => Ok(value.clone()),
        Value::Float(x) if x.is_infinite() => {
            Err(Error::render("cannot convert float infinity to integer"))
        }
        Value::Float(x) => whole(*x, default),
        Value::Str(text) => {
            let base = base.unwrap_or(Value::Int(10));
            let Some(base) = base.as_int() else {
                return Err(Error::unsupported("a base that is no integer"));
            };
            if let Some(parsed) = parse::int(&text.text, base)? {
                return Ok(parsed);
            }
            match parse::float(&text.text)? {
                Some(x) => whole(x, default),
                None => Ok(default),
            }
        }
        other => Ok(other.as_int().map_or(default, Value::Int)),
    }
}

fn whole(x: f64, default: Value) -> Result<Value> {
    if !x.is_finite() {
        return Ok(default);
    }
    if x.abs() >= 1.7e38 {
        return Err(Error::unsupported("an integer beyond 128 bits"));
    }
    Ok(Value::Int(x as i128))
}

/// `round(precision=0, method="common")`.
pub(super) fn round(value: &Value, args: Args) -> Result<Value> {
    let [precision, method] = args.bind("round", ["precision", "method"])?;
    let precision = precision.unwrap_or(Value::Int(0));
    let Some(precision) = precision.as_int() else {
        return Err(Error::render("round needs an integer as precision"));
    };
    let method = method.unwrap_or_else(|| Value::str("common"));
    if let Value::Undefined(name) = value {
        return Err(Value::undefined_error(name));
    }
    let Some(x) = value.as_float() else {
        return Err(Error::render(format!(
            "a {} cannot be rounded",
            value.type_name()
        )));
    };
    match method.as_str() {
        Some("common") => common(value, x, precision),
        Some("ceil") => scaled(value, x, precision, f64::ceil),
        Some("floor") => scaled(value, x, precision, f64::floor),
        _ => Err(Error::render("method must be common, ceil or floor")),
    }
}

/// Half to even, on the exact value of the float.
fn common(value: &Value, x: f64, precision: i128) -> Result<Value> {
    if let Some(int) = value.as_int() {
        return match precision {
            0.. => Ok(Value::Int(int)),
            _ => Err(Error::unsupported("rounding an integer to tens")),
        };
    }
    match precision {
        _ if !x.is_finite() => Ok(Value::Float(x)),
        0..=300 => {
            let digits = format!("{x:.*}", precision as usize);
            Ok(Value::Float(digits.parse().unwrap_or(x)))
        }
        301.. => Ok(Value::Float(x)),
        _ => Err(Error::unsupported("rounding a float to tens")),
    }
}

fn scaled(value: &Value, x: f64, precision: i128, round: fn(f64) -> f64) -> Result<Value> {
    if !(0..=15).contains(&precision) {
        return Err(Error::unsupported("rounding to such a precision"));
    }
    let factor = 10_i64.pow(precision as u32) as f64;
    let rounded = match value.as_int() {
        Some(_) => x * factor,
        None => round(x * factor),
    };
    if !rounded.is_finite() || rounded.abs() >= 9e15 {
        return Err(Error::unsupported("rounding a number of this size"));
    }
    Ok(Value::Float(rounded / factor))
}
