//! Format specifications of the method `format`: `[[fill]align][sign][#][0][width][,][.precision][type]`.

use super::super::error::{Error, Result};
use super::super::render::Render;
use super::super::value::{Value, float_repr};
use super::{Align, number, padded, size};

#[derive(Clone, Copy, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<Align>,
    sign: Option<char>,
    alternate: bool,
    zero: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

/// Python's `format(value, spec)`.
pub(super) fn apply(render: &Render<'_>, value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return Ok(render.written(value)?.to_string());
    }
    if spec.contains('{') {
        return Err(Error::unsupported("a format inside of a format"));
    }
    let spec = parse(spec)?;
    match value {
        Value::Str(text) => as_text(render, &text.text, spec),
        Value::Float(x) => as_float(render, *x, spec),
        Value::Int(_) | Value::Bool(_) | Value::Digits(_) => as_integer(render, value, spec),
        other => {
            let got = other.type_name();
            Err(Error::render(format!(
                "unsupported format string passed to {got}.__format__"
            )))
        }
    }
}

fn parse(text: &str) -> Result<Spec> {
    let mut spec = Spec::default();
    let mut chars = text.chars();
    let (first, second) = (chars.next(), chars.next());
    let mut rest = text;
    if let Some(align) = second.and_then(align_of) {
        (spec.fill, spec.align) = (first, Some(align));
        rest = chars.as_str();
    } else if let Some(align) = first.and_then(align_of) {
        spec.align = Some(align);
        rest = &text[1..];
    }
    let mut take = |accepts: &str| {
        let c = rest.chars().next().filter(|c| accepts.contains(*c));
        rest = &rest[c.map_or(0, char::len_utf8)..];
        c
    };
    spec.sign = take("-+ ");
    spec.alternate = take("#").is_some();
    spec.zero = take("0").is_some();
    spec.width = digits(&mut rest)?.unwrap_or(0);
    let mut take = |accepts: &str| {
        let c = rest.chars().next().filter(|c| accepts.contains(*c));
        rest = &rest[c.map_or(0, char::len_utf8)..];
        c
    };
    spec.grouping = take(",_");
    if take(".").is_some() {
        let precision = digits(&mut rest)?;
        let missing = || Error::render("Format specifier missing precision");
        spec.precision = Some(precision.ok_or_else(missing)?);
    }
    let mut kinds = rest.chars();
    spec.kind = kinds.next();
    match kinds.next() {
        None => Ok(spec),
        Some(_) => Err(Error::render("Invalid format specifier")),
    }
}

fn align_of(c: char) -> Option<Align> {
    Some(match c {
        '<' => Align::Left,
        '>' => Align::Right,
        '^' => Align::Centre,
        '=' => Align::Inside,
        _ => return None,
    })
}

fn digits(rest: &mut &str) -> Result<Option<usize>> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after;
    match digits.is_empty() {
        true => Ok(None),
        false => size(digits).map(Some),
    }
}

fn as_text(render: &Render<'_>, text: &str, spec: Spec) -> Result<String> {
    let numeric = spec.sign.is_some() || spec.alternate || spec.grouping.is_some();
    if numeric || spec.align == Some(Align::Inside) || !matches!(spec.kind, None | Some('s')) {
        return Err(Error::render("Invalid format specifier for a text"));
    }
    let cut: String;
    let text = match spec.precision {
        Some(precision) => {
            cut = text.chars().take(precision).collect();
            &cut
        }
        None => text,
    };
    let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' });
    let align = spec.align.unwrap_or(Align::Left);
    padded(&render.budget, ("", text), spec.width, fill, align)
}

fn as_integer(render: &Render<'_>, value: &Value, spec: Spec) -> Result<String> {
    let kind = spec.kind.unwrap_or('d');
    if let 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%' = kind {
        let x = value.as_float();
        let x = x.ok_or_else(|| Error::unsupported("an integer beyond 128 bits as a float"))?;
        return as_float(render, x, spec);
    }
    if !matches!(kind, 'd' | 'b' | 'o' | 'x' | 'X') {
        return Err(Error::unsupported(format!(
            "the format '{kind}' of an integer"
        )));
    }
    if spec.precision.is_some() {
        return Err(Error::render(
            "Precision not allowed in integer format specifier",
        ));
    }
    let negative = match value {
        Value::Digits(digits) => digits.starts_with('-'),
        other => other.as_int().is_some_and(|int| int < 0),
    };
    let digits = grouped(&number::integer(value, kind)?, spec, kind)?;
    let prefix = match kind {
        'd' => String::new(),
        _ if !spec.alternate => String::new(),
        kind => format!("0{kind}"),
    };
    let sign = format!("{}{prefix}", sign(spec, negative));
    pad_number(render, spec, &sign, &digits)
}

fn as_float(render: &Render<'_>, x: f64, spec: Spec) -> Result<String> {
    if spec.alternate {
        return Err(Error::unsupported("# in the format of a float"));
    }
    let digits = match (spec.kind, spec.precision) {
        (None, None) => float_repr(x.abs()),
        (Some('%'), precision) => {
            number::float(x * 100.0, 'f', precision.unwrap_or(6), false)? + "%"
        }
        (Some(kind @ ('e' | 'E' | 'f' | 'F' | 'g' | 'G')), precision) => {
            number::float(x, kind, precision.unwrap_or(6), false)?
        }
        (None, Some(_)) => {
            return Err(Error::unsupported(
                "a precision without a type in the format of a float",
            ));
        }
        (Some(kind), _) => {
            let message = format!("Unknown format code '{kind}' for object of type 'float'");
            return Err(Error::render(message));
        }
    };
    let digits = grouped(&digits, spec, 'd')?;
    let sign = sign(spec, x.is_sign_negative() && !x.is_nan());
    pad_number(render, spec, sign, &digits)
}

fn sign(spec: Spec, negative: bool) -> &'static str {
    match (negative, spec.sign) {
        (true, _) => "-",
        (false, Some('+')) => "+",
        (false, Some(' ')) => " ",
        _ => "",
    }
}

/// Digits before the point in groups of three.
fn grouped(digits: &str, spec: Spec, kind: char) -> Result<String> {
    let Some(separator) = spec.grouping else {
        return Ok(digits.to_owned());
    };
    if kind != 'd' || spec.zero || spec.fill == Some('0') {
        return Err(Error::unsupported("grouping in such a format"));
    }
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    let mut out = String::new();
    for (i, c) in digits[..end].chars().enumerate() {
        if i > 0 && (end - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    Ok(out + &digits[end..])
}

fn pad_number(render: &Render<'_>, spec: Spec, sign: &str, digits: &str) -> Result<String> {
    let default = if spec.zero {
        Align::Inside
    } else {
        Align::Right
    };
    let fill = spec.fill.unwrap_or(if spec.zero { '0' } else { ' ' });
    let align = spec.align.unwrap_or(default);
    padded(&render.budget, (sign, digits), spec.width, fill, align)
}
