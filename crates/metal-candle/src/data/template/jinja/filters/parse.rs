//! Numbers out of texts, as Python's `int` and `float` read them.

use super::super::error::{Error, Result};
use super::super::text::is_space;
use super::super::value::Value;

/// `int(text, base)`; `None` where Python raises a `ValueError`.
///
/// # Errors
/// For digits that are not ASCII, and beyond 128 bits in a base other than ten.
pub(super) fn int(text: &str, base: i128) -> Result<Option<Value>> {
    if !(base == 0 || (2..=36).contains(&base)) {
        return Ok(None);
    }
    check_ascii(text)?;
    let trimmed = text.trim_matches(is_space);
    let (negative, digits) = match trimmed.strip_prefix(['-', '+']) {
        Some(digits) => (trimmed.starts_with('-'), digits),
        None => (false, trimmed),
    };
    let Some((digits, base)) = without_prefix(digits, base as u32) else {
        return Ok(None);
    };
    let Some(digits) = without_underscores(&digits) else {
        return Ok(None);
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(base)) {
        return Ok(None);
    }
    let sign = if negative { "-" } else { "" };
    let signed = format!("{sign}{}", digits.trim_start_matches('0'));
    match i128::from_str_radix(&format!("{sign}{digits}"), base) {
        Ok(value) => Ok(Some(Value::Int(value))),
        Err(_) if base == 10 => Ok(Some(Value::Digits(signed.into()))),
        Err(_) => Err(Error::unsupported("an integer beyond 128 bits")),
    }
}

fn check_ascii(text: &str) -> Result<()> {
    match text.contains(|c: char| !c.is_ascii() && c.is_numeric()) {
        true => Err(Error::unsupported("a number in digits that are not ASCII")),
        false => Ok(()),
    }
}

/// Digits behind the prefix of their base (`0x`), and the base. The prefix decides in base 0.
fn without_prefix(digits: &str, base: u32) -> Option<(String, u32)> {
    let lower = digits.to_ascii_lowercase();
    for (prefix, own) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix)
            && (base == own || base == 0)
        {
            let rest = rest.strip_prefix('_').unwrap_or(rest);
            return Some((rest.to_owned(), own));
        }
    }
    if base == 0 {
        let zeros = lower.chars().all(|c| c == '0' || c == '_');
        return (zeros || !lower.starts_with('0')).then_some((lower, 10));
    }
    Some((lower, base))
}

/// Python takes single underscores between digits.
fn without_underscores(digits: &str) -> Option<String> {
    let wrong = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    (!wrong).then(|| digits.replace('_', ""))
}

/// `float(text)`; `None` where Python raises a `ValueError`.
pub(super) fn float(text: &str) -> Result<Option<f64>> {
    check_ascii(text)?;
    let trimmed = text.trim_matches(is_space);
    let bytes = trimmed.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let between = |at: usize| at > 0 && digit(at - 1) && digit(at + 1);
    let mut underscores = trimmed.match_indices('_');
    if !underscores.all(|(at, _)| between(at)) {
        return Ok(None);
    }
    Ok(trimmed.replace('_', "").parse().ok())
}
