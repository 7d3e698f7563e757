//! `isalpha`, `isdigit` and so on.

use super::super::error::{Error, Result};
use super::super::predicates::{is_lower, is_upper};
use super::super::text::{is_alphanumeric, is_decimal, is_letter, is_number, is_space};
use super::super::value::is_printable;

pub(super) fn holds(text: &str, name: &str) -> Result<bool> {
    let all = |holds: fn(char) -> bool| !text.is_empty() && text.chars().all(holds);
    Ok(match name {
        "isalpha" => all(is_letter),
        "isalnum" => all(is_alphanumeric),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(is_decimal),
        "isdigit" => return digits(text, |c| is_number(c) && !is_decimal(c)),
        "isnumeric" => return digits(text, |c| !c.is_ascii() && is_alphanumeric(c)),
        "isspace" => all(is_space),
        "isprintable" => text.chars().all(is_printable),
        "islower" => is_lower(text),
        "isupper" => is_upper(text),
        "isidentifier" => {
            let starts = |c: char| c == '_' || is_letter(c);
            if !text.is_ascii() {
                return Err(Error::unsupported("isidentifier() of other than ASCII"));
            }
            let continues = |c: char| starts(c) || is_decimal(c);
            text.starts_with(starts) && text.chars().all(continues)
        }
        _ => return Err(Error::unsupported(format!("str.{name}"))),
    })
}

/// Whether all are digits. For characters that only the Unicode database can tell there is an
/// error.
fn digits(text: &str, is_unknown: fn(char) -> bool) -> Result<bool> {
    if text.contains(|c| !is_decimal(c) && is_unknown(c)) {
        return Err(Error::unsupported(
            "isdigit() and isnumeric() of such characters",
        ));
    }
    Ok(!text.is_empty() && text.chars().all(is_decimal))
}
