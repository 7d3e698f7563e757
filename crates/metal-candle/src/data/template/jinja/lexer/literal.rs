//! Numbers and strings as they are written in a template.

use super::{Error, Result};

/// Length of the number `text` begins with, and whether it is a float.
pub(super) fn number_length(text: &str, after_dot: bool) -> Option<(usize, bool)> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if !after_dot && let Some(length) = float_length(text) {
        return Some((length, true));
    }
    Some((integer_length(text), false))
}

/// Digits with single underscores between them.
fn digits_length(text: &str, is_digit: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(|&byte| is_digit(byte));
    let mut at = 0;
    loop {
        if digit(at) {
            at += 1;
        } else if at > 0 && bytes.get(at) == Some(&b'_') && digit(at + 1) {
            at += 2;
        } else {
            return at;
        }
    }
}

fn decimal_length(text: &str) -> usize {
    digits_length(text, |byte| byte.is_ascii_digit())
}

fn float_length(text: &str) -> Option<usize> {
    let whole = decimal_length(text);
    let mut length = whole;
    if let Some(rest) = text[length..].strip_prefix('.') {
        let fraction = decimal_length(rest);
        length += if fraction > 0 { 1 + fraction } else { 0 };
    }
    if let Some(rest) = text[length..].strip_prefix(['e', 'E']) {
        let sign = usize::from(rest.starts_with(['+', '-']));
        let exponent = decimal_length(&rest[sign..]);
        length += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    (length > whole).then_some(length)
}

fn integer_length(text: &str) -> usize {
    let lower = text.get(..2).unwrap_or_default().to_ascii_lowercase();
    let base = match &*lower {
        "0x" => 16,
        "0o" => 8,
        "0b" => 2,
        _ => 10,
    };
    if base != 10 {
        let rest = &text[2..];
        let skip = usize::from(rest.starts_with('_'));
        let digits = digits_length(&rest[skip..], |byte| char::from(byte).is_digit(base));
        if digits > 0 {
            return 2 + skip + digits;
        }
    }
    if text.starts_with('0') {
        return digits_length(text, |byte| byte == b'0');
    }
    decimal_length(text)
}

/// Text of a string literal: Python's `unicode-escape`, into which Jinja2 puts what is not ASCII as
/// an escape.
pub(super) fn unescaped(literal: &str, line: usize) -> Result<String> {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = escape(&rest[at + 1..], &mut out).map_err(|message| Error::syntax(line, message))?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Appends the character of the escape that `text`, which follows a backslash, begins with. Gives
/// what is behind it.
fn escape<'t>(text: &'t str, out: &mut String) -> std::result::Result<&'t str, String> {
    let Some(c) = text.chars().next() else {
        return Err("\\ at end of string".to_owned());
    };
    let rest = &text[c.len_utf8()..];
    match c {
        '\n' => {}
        '\\' | '\'' | '"' => out.push(c),
        'a' => out.push('\x07'),
        'b' => out.push('\x08'),
        'f' => out.push('\x0c'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'v' => out.push('\x0b'),
        'x' => return hex(rest, 2, out),
        'u' => return hex(rest, 4, out),
        'U' => return hex(rest, 8, out),
        '0'..='7' => return octal(text, out),
        'N' => return Err("\\N in a string is not supported".to_owned()),
        c if c.is_ascii() => out.extend(['\\', c]),
        c => out.push_str(&backslashed(c)),
    }
    Ok(rest)
}

/// What Python makes of a backslash before a character that is not ASCII: the escape's own letters.
fn backslashed(c: char) -> String {
    match c as u32 {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

fn hex<'t>(text: &'t str, n: usize, out: &mut String) -> std::result::Result<&'t str, String> {
    let digits = text
        .get(..n)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let Some(digits) = digits else {
        return Err(format!("an escape of {n} hexadecimal digits is cut off"));
    };
    let c = u32::from_str_radix(digits, 16)
        .ok()
        .and_then(char::from_u32);
    out.push(c.ok_or_else(|| format!("{digits} is no character"))?);
    Ok(&text[n..])
}

fn octal<'t>(text: &'t str, out: &mut String) -> std::result::Result<&'t str, String> {
    let n = text
        .bytes()
        .take(3)
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let code = u32::from_str_radix(&text[..n], 8).unwrap_or_default();
    out.extend(char::from_u32(code));
    Ok(&text[n..])
}
