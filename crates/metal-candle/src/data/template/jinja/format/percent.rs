//! The operator `%` of texts.

use std::rc::Rc;
use std::sync::Arc;

use super::super::error::{Error, Result};
use super::super::render::Render;
use super::super::value::{Items, Text, Value};
use super::{Align, number, padded, size};

/// One conversion, as `%-05.2f`.
#[derive(Default)]
struct Conversion<'f> {
    key: Option<&'f str>,
    left: bool,
    zero: bool,
    plus: bool,
    blank: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    kind: char,
}

/// Values that the conversions take one after the other.
struct Values {
    single: Option<Value>,
    tuple: Option<Rc<Items>>,
    taken: usize,
}

/// `format % value`.
pub(in super::super) fn format(render: &Render<'_>, format: &Text, value: &Value) -> Result<Value> {
    if format.escaped {
        return Err(Error::unsupported("% of escaped text"));
    }
    let mut values = Values {
        single: Some(value.clone()),
        tuple: match value {
            Value::Tuple(items) => Some(items.clone()),
            _ => None,
        },
        taken: 0,
    };
    let mut out = String::new();
    let mut rest = &*format.text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (conversion, after) = parse(&rest[at + 1..], &mut values)?;
        let part = converted(render, &conversion, value, &mut values)?;
        render.budget.grown(out.len() + part.len() + after.len())?;
        out.push_str(&part);
        rest = after;
    }
    out.push_str(rest);
    values.check_all_taken(value)?;
    render.budget.text(out.len())?;
    Ok(Value::str(out))
}

impl Values {
    fn next(&mut self) -> Result<Value> {
        let next = match &self.tuple {
            Some(items) => items.values.get(self.taken).cloned(),
            None => self.single.take(),
        };
        self.taken += 1;
        next.ok_or_else(|| Error::render("not enough arguments for format string"))
    }

    /// Python lets values that have items by key be left over.
    fn check_all_taken(&self, value: &Value) -> Result<()> {
        let left = match (&self.tuple, value) {
            (Some(items), _) => self.taken < items.values.len(),
            (None, Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_)) => {
                false
            }
            (None, _) => self.single.is_some(),
        };
        match left {
            true => Err(Error::render(
                "not all arguments converted during string formatting",
            )),
            false => Ok(()),
        }
    }

    /// A width or precision that is given as a value.
    fn star(&mut self) -> Result<i128> {
        let value = self.next()?;
        value.as_int().ok_or_else(|| Error::render("* wants int"))
    }
}

/// Reads the conversion that `text`, which follows a `%`, begins with.
fn parse<'f>(text: &'f str, values: &mut Values) -> Result<(Conversion<'f>, &'f str)> {
    let mut conversion = Conversion::default();
    let mut rest = text;
    if let Some(inner) = text.strip_prefix('(') {
        let (key, after) = key(inner)?;
        conversion.key = Some(key);
        rest = after;
    }
    while let Some(c) = rest.chars().next().filter(|c| "-0+ #".contains(*c)) {
        match c {
            '-' => conversion.left = true,
            '0' => conversion.zero = true,
            '+' => conversion.plus = true,
            ' ' => conversion.blank = true,
            _ => conversion.alternate = true,
        }
        rest = &rest[1..];
    }
    if let Some(width) = number_of(&mut rest, values)? {
        conversion.left |= width < 0;
        conversion.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        let precision = number_of(&mut rest, values)?.unwrap_or(0).max(0);
        conversion.precision = Some(usize::try_from(precision).unwrap_or(usize::MAX));
    }
    rest = rest.strip_prefix(['h', 'l', 'L']).unwrap_or(rest);
    let kind = rest.chars().next();
    let kind = kind.ok_or_else(|| Error::render("incomplete format"))?;
    conversion.kind = kind;
    Ok((conversion, &rest[kind.len_utf8()..]))
}

/// Key in parentheses, which may contain others in pairs.
fn key(text: &str) -> Result<(&str, &str)> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        open += i32::from(c == '(') - i32::from(c == ')');
        if open == 0 {
            return Ok((&text[..at], &text[at + 1..]));
        }
    }
    Err(Error::render("incomplete format key"))
}

fn number_of(rest: &mut &str, values: &mut Values) -> Result<Option<i128>> {
    if let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        return values.star().map(Some);
    }
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    match digits.is_empty() {
        true => Ok(None),
        false => Ok(Some(size(digits)? as i128)),
    }
}

fn converted(
    render: &Render<'_>,
    conversion: &Conversion<'_>,
    all: &Value,
    values: &mut Values,
) -> Result<String> {
    if conversion.kind == '%' {
        return Ok("%".to_owned());
    }
    let value = match (conversion.key, all) {
        (None, _) => values.next()?,
        (Some(key), Value::Dict(dict)) => {
            values.single = None;
            let found = dict.get_str(key, &render.budget)?;
            found
                .cloned()
                .ok_or_else(|| Error::render(format!("KeyError: '{key}'")))?
        }
        (Some(_), _) => return Err(Error::render("format requires a mapping")),
    };
    match conversion.kind {
        's' | 'r' => as_text(render, conversion, &value),
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => as_integer(render, conversion, &value),
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => as_float(render, conversion, &value),
        'c' => {
            let c = match &value {
                Value::Str(text) if text.text.chars().count() == 1 => text.text.clone(),
                other => {
                    let code = other.as_int().and_then(|code| u32::try_from(code).ok());
                    let c = code.and_then(char::from_u32);
                    let c = c.ok_or_else(|| Error::render("%c requires int or char"))?;
                    c.to_string().into()
                }
            };
            pad_text(render, conversion, &c)
        }
        kind => Err(Error::render(format!(
            "unsupported format character '{kind}'"
        ))),
    }
}

fn as_text(render: &Render<'_>, conversion: &Conversion<'_>, value: &Value) -> Result<String> {
    let text: Arc<str> = match (conversion.kind, value) {
        // Python's result is escaped text then.
        ('s', Value::Str(text)) if text.escaped => {
            return Err(Error::unsupported("% with escaped text"));
        }
        ('s', value) => render.written(value)?,
        (_, value) => render.repr(value)?.into(),
    };
    match conversion.precision {
        Some(precision) => {
            let text: String = text.chars().take(precision).collect();
            pad_text(render, conversion, &text)
        }
        None => pad_text(render, conversion, &text),
    }
}

fn pad_text(render: &Render<'_>, conversion: &Conversion<'_>, text: &str) -> Result<String> {
    let align = if conversion.left {
        Align::Left
    } else {
        Align::Right
    };
    padded(&render.budget, ("", text), conversion.width, ' ', align)
}

fn as_integer(render: &Render<'_>, conversion: &Conversion<'_>, value: &Value) -> Result<String> {
    let kind = match conversion.kind {
        'i' | 'u' => 'd',
        kind => kind,
    };
    let whole = match value {
        Value::Float(x) if kind == 'd' && x.abs() < 1.7e38 => Value::Int(*x as i128),
        Value::Int(_) | Value::Bool(_) | Value::Digits(_) => value.clone(),
        Value::Undefined(name) => return Err(Value::undefined_error(name)),
        other => {
            let got = other.type_name();
            let message = format!("%{kind} format: a real number is required, not {got}");
            return Err(Error::render(message));
        }
    };
    let negative = match &whole {
        Value::Digits(digits) => digits.starts_with('-'),
        other => other.as_int().is_some_and(|int| int < 0),
    };
    let mut digits = number::integer(&whole, kind)?;
    let missing = conversion
        .precision
        .unwrap_or(0)
        .saturating_sub(digits.len());
    render.budget.text(missing)?;
    digits.insert_str(0, &"0".repeat(missing));
    let prefix = match kind {
        'x' | 'X' | 'o' if conversion.alternate => format!("0{kind}"),
        _ => String::new(),
    };
    let sign = format!("{}{prefix}", sign(conversion, negative));
    pad_number(render, conversion, &sign, &digits)
}

fn as_float(render: &Render<'_>, conversion: &Conversion<'_>, value: &Value) -> Result<String> {
    let Some(x) = value.as_float() else {
        let got = value.type_name();
        return Err(Error::render(format!("must be real number, not {got}")));
    };
    if conversion.alternate {
        return Err(Error::unsupported("# in the format of a float"));
    }
    let digits = number::float(x, conversion.kind, conversion.precision.unwrap_or(6), false)?;
    let sign = sign(conversion, x.is_sign_negative() && !x.is_nan());
    pad_number(render, conversion, sign, &digits)
}

fn sign(conversion: &Conversion<'_>, negative: bool) -> &'static str {
    match negative {
        true => "-",
        false if conversion.plus => "+",
        false if conversion.blank => " ",
        false => "",
    }
}

fn pad_number(
    render: &Render<'_>,
    conversion: &Conversion<'_>,
    sign: &str,
    digits: &str,
) -> Result<String> {
    let (fill, align) = match (conversion.left, conversion.zero) {
        (true, _) => (' ', Align::Left),
        (false, true) => ('0', Align::Inside),
        (false, false) => (' ', Align::Right),
    };
    padded(
        &render.budget,
        (sign, digits),
        conversion.width,
        fill,
        align,
    )
}
