//! Formatting: the operator `%` and the method `format`.

pub(super) mod brace;
mod number;
pub(super) mod percent;
mod spec;

use super::error::{Error, Result};
use super::limits::Budget;

/// Side of what is missing to the width.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Centre,
    /// Between the sign and the digits.
    Inside,
}

/// `body` with `sign` before it, filled up to `width` characters.
fn padded(
    budget: &Budget,
    (sign, body): (&str, &str),
    width: usize,
    fill: char,
    align: Align,
) -> Result<String> {
    let length = sign.chars().count() + body.chars().count();
    let missing = width.saturating_sub(length);
    let filled = missing.saturating_mul(fill.len_utf8());
    budget.text((sign.len() + body.len()).saturating_add(filled))?;
    let left = match align {
        Align::Left => 0,
        Align::Centre => missing / 2,
        Align::Right | Align::Inside => missing,
    };
    let fill = |n: usize| fill.to_string().repeat(n);
    Ok(match align {
        Align::Inside => [sign, &fill(left), body].concat(),
        _ => [&fill(left), sign, body, &fill(missing - left)].concat(),
    })
}

/// A width or precision out of its digits.
fn size(digits: &str) -> Result<usize> {
    digits
        .parse()
        .map_err(|_| Error::render("a width or precision is too big"))
}
