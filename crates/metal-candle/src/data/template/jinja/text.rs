//! Properties of characters and texts as Python defines them.

use std::sync::LazyLock;

use fancy_regex::Regex;

use super::error::{Error, Result};

pub(super) use super::lexer::is_space;

/// Whether `c` is of a Unicode category, e.g. `\p{L}`.
fn in_category(category: &LazyLock<Option<Regex>>, c: char) -> bool {
    let mut bytes = [0; 4];
    let text = c.encode_utf8(&mut bytes);
    category
        .as_ref()
        .is_some_and(|regex| matches!(regex.is_match(text), Ok(true)))
}

pub(super) fn is_letter(c: char) -> bool {
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{L}").ok());
    if c.is_ascii() {
        c.is_ascii_alphabetic()
    } else {
        in_category(&LETTER, c)
    }
}

/// Python's `isdecimal`.
pub(super) fn is_decimal(c: char) -> bool {
    static DECIMAL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{Nd}").ok());
    if c.is_ascii() {
        c.is_ascii_digit()
    } else {
        in_category(&DECIMAL, c)
    }
}

/// Numbers of every kind, less the letters that are numbers in Chinese.
pub(super) fn is_number(c: char) -> bool {
    static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\p{N}").ok());
    if c.is_ascii() {
        c.is_ascii_digit()
    } else {
        in_category(&NUMBER, c)
    }
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_letter(c) || is_number(c)
}

/// Lines as `str.splitlines` gives them, with their ends if `keep_ends`.
pub(super) fn lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends_line) {
        let end = &rest[at..];
        let c = end.chars().next().map_or(0, char::len_utf8);
        let length = if end.starts_with("\r\n") { 2 } else { c };
        lines.push(&rest[..if keep_ends { at + length } else { at }]);
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

fn ends_line(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Upper case at the beginning of a word. Characters whose title case Rust does not know are an
/// error.
fn push_title(out: &mut String, c: char) -> Result<()> {
    match c {
        // Digraphs, and letters whose title case is themselves.
        '\u{1c4}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}' | '\u{10d0}'..='\u{10ff}' => {
            return Err(Error::unsupported(format!("the title case of '{c}'")));
        }
        'ß' | '\u{fb00}'..='\u{fb06}' => {
            let upper: String = c.to_uppercase().collect();
            let first = upper.chars().next().map_or(0, char::len_utf8);
            out.push_str(&upper[..first]);
            out.push_str(&upper[first..].to_lowercase());
        }
        c if c.to_uppercase().count() == 1 => out.extend(c.to_uppercase()),
        c => return Err(Error::unsupported(format!("the title case of '{c}'"))),
    }
    Ok(())
}

/// Python's lower case of a sigma depends on what stands around it.
fn check_sigma(text: &str) -> Result<()> {
    match text.contains('Σ') {
        true => Err(Error::unsupported(
            "the lower case of 'Σ' in a part of a text",
        )),
        false => Ok(()),
    }
}

/// `str.capitalize`.
pub(super) fn capitalized(text: &str) -> Result<String> {
    check_sigma(text)?;
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    if let Some(first) = chars.next() {
        push_title(&mut out, first)?;
    }
    out.push_str(&chars.as_str().to_lowercase());
    Ok(out)
}

/// `str.title`: a word starts at every letter that follows a character without case, apostrophes
/// included.
pub(super) fn titled(text: &str) -> Result<String> {
    check_sigma(text)?;
    let mut in_word = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            push_title(&mut out, c)?;
        }
        in_word = c.is_lowercase() || c.is_uppercase();
    }
    Ok(out)
}

/// `str.swapcase`.
pub(super) fn swapped(text: &str) -> Result<String> {
    check_sigma(text)?;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    Ok(out)
}

/// `str.casefold`, where it is the lower case.
pub(super) fn folded(text: &str) -> Result<String> {
    let lower = text.to_lowercase();
    let back = lower.to_uppercase().to_lowercase();
    let special = |c| matches!(c, 'ς' | '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}');
    if lower != back || lower.contains(special) {
        return Err(Error::unsupported("casefold of such letters"));
    }
    Ok(lower)
}

/// Blanks to the left of `missing` that centre a text: CPython puts the odd blank left when the
/// width is odd.
pub(super) fn left_of_centre(missing: usize, width: usize) -> usize {
    missing / 2 + (missing & width & 1)
}
