//! Digits of numbers.

use super::super::error::{Error, Result};
use super::super::value::{Value, float_repr};

/// More digits behind the point than any format in use has.
const MAX_PRECISION: usize = 1000;

/// Digits of the absolute value in a base, by the letter of the format.
pub(super) fn integer(value: &Value, kind: char) -> Result<String> {
    if let (Value::Digits(digits), 'd') = (value, kind) {
        return Ok(digits.trim_start_matches('-').to_owned());
    }
    let Some(int) = value.as_int() else {
        return Err(Error::unsupported(
            "such a format of an integer beyond 128 bits",
        ));
    };
    let int = int.unsigned_abs();
    Ok(match kind {
        'x' => format!("{int:x}"),
        'X' => format!("{int:X}"),
        'o' => format!("{int:o}"),
        'b' => format!("{int:b}"),
        _ => int.to_string(),
    })
}

/// Digits of the absolute value of a float: kinds `e`, `f`, `g` (capitals too) and `r` for the
/// shortest. `alternate` keeps what `g` would drop.
pub(super) fn float(x: f64, kind: char, precision: usize, alternate: bool) -> Result<String> {
    if precision > MAX_PRECISION {
        return Err(Error::unsupported(format!(
            "a precision above {MAX_PRECISION}"
        )));
    }
    let x = x.abs();
    let digits = if !x.is_finite() {
        float_repr(x)
    } else {
        match kind.to_ascii_lowercase() {
            'e' => scientific(x, precision),
            'f' => format!("{x:.precision$}"),
            'g' => general(x, precision.max(1), alternate),
            _ => float_repr(x),
        }
    };
    Ok(if kind.is_ascii_uppercase() {
        digits.to_uppercase()
    } else {
        digits
    })
}

/// `1.50e+03`: an exponent has two digits at least.
fn scientific(x: f64, precision: usize) -> String {
    let text = format!("{x:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// So many digits, with an exponent where the number is small or has more of them.
fn general(x: f64, precision: usize, alternate: bool) -> String {
    let text = scientific(x, precision - 1);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i64 = exponent.parse().unwrap_or(0);
    if power < -4 || power >= precision as i64 {
        return format!("{}e{exponent}", without_zeros(digits, alternate));
    }
    let places = (precision as i64 - 1 - power).max(0) as usize;
    without_zeros(&format!("{x:.places$}"), alternate).to_owned()
}

fn without_zeros(digits: &str, keep: bool) -> &str {
    if keep || !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.')
}
