//! Arithmetic of Python: integers, floats, and what `+`, `*` and `%` do to texts and lists.

use super::super::ast::Operator;
use super::super::error::{Error, Result};
use super::super::format::percent;
use super::super::value::{Text, Value};
use super::Render;

pub(in super::super) fn arithmetic(
    render: &Render<'_>,
    operator: Operator,
    left: &Value,
    right: &Value,
) -> Result<Value> {
    render.budget.spend(1)?;
    if let (Value::Str(format), Operator::Mod) = (left, operator) {
        return percent::format(render, format, right);
    }
    if let (Some(a), Some(b)) = (left.as_int(), right.as_int()) {
        return integers(operator, a, b);
    }
    if let (Some(a), Some(b)) = (left.as_float(), right.as_float()) {
        return floats(operator, a, b).map(Value::Float);
    }
    match (operator, left, right) {
        (Operator::Add, Value::Str(a), Value::Str(b)) => joined(render, a, b),
        (Operator::Add, Value::List(a), Value::List(b)) => {
            render.budget.items(a.values.len() + b.values.len())?;
            Value::list([&*a.values, &*b.values].concat(), &render.budget)
        }
        (Operator::Add, Value::Tuple(a), Value::Tuple(b)) => {
            render.budget.items(a.values.len() + b.values.len())?;
            Value::tuple([&*a.values, &*b.values].concat(), &render.budget)
        }
        (Operator::Mul, sequence, times) if times.as_int().is_some() => {
            repeated(render, sequence, times)
        }
        (Operator::Mul, times, sequence) if times.as_int().is_some() => {
            repeated(render, sequence, times)
        }
        _ => Err(unsupported_operands(operator, left, right)),
    }
}

fn unsupported_operands(operator: Operator, left: &Value, right: &Value) -> Error {
    match (left, right) {
        (Value::Undefined(name), _) | (_, Value::Undefined(name)) => Value::undefined_error(name),
        (Value::Digits(_), _) | (_, Value::Digits(_)) => {
            Error::unsupported("arithmetic with integers beyond 128 bits")
        }
        _ => {
            let (a, b) = (left.type_name(), right.type_name());
            let message = format!("unsupported operand types for {operator:?}: '{a}' and '{b}'");
            Error::render(message)
        }
    }
}

pub(super) fn too_large() -> Error {
    Error::unsupported("an integer beyond 128 bits")
}

fn by_zero() -> Error {
    Error::render("division by zero")
}

fn integers(operator: Operator, a: i128, b: i128) -> Result<Value> {
    let value = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Sub => a.checked_sub(b),
        Operator::Mul => a.checked_mul(b),
        Operator::Div => return divided(a, b),
        Operator::FloorDiv | Operator::Mod if b == 0 => return Err(by_zero()),
        Operator::FloorDiv => {
            let exact = a.checked_rem(b).unwrap_or(0) == 0;
            let down = !exact && (a < 0) != (b < 0);
            a.checked_div(b).map(|quotient| quotient - i128::from(down))
        }
        Operator::Mod => {
            let rest = a.checked_rem(b);
            rest.map(|rest| {
                if rest != 0 && (rest < 0) != (b < 0) {
                    rest + b
                } else {
                    rest
                }
            })
        }
        Operator::Pow if b < 0 => return floats(operator, a as f64, b as f64).map(Value::Float),
        Operator::Pow => match (a, u32::try_from(b)) {
            (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
            (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
            (_, Ok(b)) => a.checked_pow(b),
            (_, Err(_)) => None,
        },
    };
    value.map(Value::Int).ok_or_else(too_large)
}

/// Quotient of integers, exact as long as both are floats exactly.
fn divided(a: i128, b: i128) -> Result<Value> {
    if b == 0 {
        return Err(by_zero());
    }
    if a.unsigned_abs().max(b.unsigned_abs()) > 1 << 53 {
        return Err(Error::unsupported("division of integers beyond 53 bits"));
    }
    Ok(Value::Float(a as f64 / b as f64))
}

fn floats(operator: Operator, a: f64, b: f64) -> Result<f64> {
    Ok(match operator {
        Operator::Add => a + b,
        Operator::Sub => a - b,
        Operator::Mul => a * b,
        Operator::Pow => return power(a, b),
        _ if b == 0.0 => return Err(by_zero()),
        Operator::Div => a / b,
        Operator::Mod => modulo(a, b),
        Operator::FloorDiv => {
            let quotient = (a - modulo(a, b)) / b;
            if quotient == 0.0 {
                0.0_f64.copysign(a / b)
            } else {
                let floor = quotient.floor();
                if quotient - floor > 0.5 {
                    floor + 1.0
                } else {
                    floor
                }
            }
        }
    })
}

/// Rest with the sign of the divisor.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0_f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

fn power(a: f64, b: f64) -> Result<f64> {
    if a == 0.0 && b < 0.0 {
        return Err(Error::render("0.0 cannot be raised to a negative power"));
    }
    if a < 0.0 && a.is_finite() && b.is_finite() && b.fract() != 0.0 {
        return Err(Error::unsupported("a complex number"));
    }
    let value = a.powf(b);
    if value.is_infinite() && a.is_finite() && b.is_finite() {
        return Err(Error::render("the result of ** is too large"));
    }
    Ok(value)
}

/// Escaped HTML stays escaped: what is joined to it is escaped too.
fn joined(render: &Render<'_>, a: &Text, b: &Text) -> Result<Value> {
    let escaped = a.escaped || b.escaped;
    if a.escaped == b.escaped {
        render.budget.text(a.text.len() + b.text.len())?;
        return Ok(Value::text([&*a.text, &*b.text].concat(), escaped));
    }
    let a = render.escaped(a)?;
    let b = render.escaped(b)?;
    render.budget.text(a.len() + b.len())?;
    Ok(Value::text([&*a, &*b].concat(), escaped))
}

fn repeated(render: &Render<'_>, sequence: &Value, times: &Value) -> Result<Value> {
    let times = times.as_int().unwrap_or_default();
    let n = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    let budget = &render.budget;
    match sequence {
        Value::Str(text) => {
            budget.repeated(text.text.len(), n)?;
            let n = if text.text.is_empty() { 0 } else { n };
            Ok(Value::text(text.text.repeat(n), text.escaped))
        }
        Value::List(items) | Value::Tuple(items) => {
            let n = if items.values.is_empty() { 0 } else { n };
            budget.items(items.values.len().saturating_mul(n))?;
            let values = items.values.iter().cycle().take(items.values.len() * n);
            let values: Vec<_> = values.cloned().collect();
            match sequence {
                Value::List(_) => Value::list(values, budget),
                _ => Value::tuple(values, budget),
            }
        }
        other => Err(unsupported_operands(
            Operator::Mul,
            other,
            &Value::Int(times),
        )),
    }
}
