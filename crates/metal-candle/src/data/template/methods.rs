//! Python's methods of strings, lists and dicts: those of `minijinja_contrib::pycompat`, and the
//! ones it lacks.

use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls `value.method(*args)` as Python would.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = match (value.kind(), value.as_str()) {
        (_, Some(text)) => string(text, method, args)?,
        (ValueKind::Map, _) => map(value, method, args)?,
        (ValueKind::Seq | ValueKind::Iterable, _) => list(value, method, args)?,
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => unknown_method_callback(state, value, method, args),
    }
}

fn string(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "split" => split(text, args)?,
        "rsplit" => rsplit(text, args)?,
        "partition" => partition(text, args, |text, sep| text.find(sep), (true, false))?,
        "rpartition" => partition(text, args, |text, sep| text.rfind(sep), (false, true))?,
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "title" => Value::from(title(text)),
        "casefold" => Value::from(text.to_lowercase()),
        "zfill" => Value::from(zfill(text, args)?),
        "ljust" | "rjust" | "center" => Value::from(justified(text, method, args)?),
        "index" => index(text, args)?,
        _ => return Ok(None),
    }))
}

fn map(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        _ => Ok(None),
    }
}

fn list(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let found = value.try_iter()?.position(|item| item == *wanted);
            found
                .map(|i| Some(Value::from(i)))
                .ok_or_else(|| not_found(&format!("{wanted} is not in list")))
        }
        "copy" => {
            let () = from_args(args)?;
            Ok(Some(value.clone()))
        }
        _ => Ok(None),
    }
}

/// `sep` and `maxsplit`, by position or by name; a negative `maxsplit` means no limit.
fn split_args(args: &[Value]) -> Result<(Option<String>, Option<usize>), Error> {
    let (sep, max, kwargs): (Option<String>, Option<i64>, Kwargs) = from_args(args)?;
    let sep = sep.map_or_else(|| kwargs.get("sep"), |sep| Ok(Some(sep)))?;
    let max: Option<i64> = max.map_or_else(|| kwargs.get("maxsplit"), |max| Ok(Some(max)))?;
    kwargs.assert_all_used()?;
    if sep.as_deref() == Some("") {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    Ok((sep, max.and_then(|max| usize::try_from(max).ok())))
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    Ok(match split_args(args)? {
        (Some(sep), None) => text.split(&*sep).map(Value::from).collect(),
        (Some(sep), Some(max)) => text.splitn(max + 1, &*sep).map(Value::from).collect(),
        (None, None) => text.split_whitespace().map(Value::from).collect(),
        (None, Some(max)) => split_at_blanks(text, max).into_iter().collect(),
    })
}

/// The first `max` words, then the rest as it is.
fn split_at_blanks(text: &str, max: usize) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while parts.len() < max {
        let Some(end) = rest.find(char::is_whitespace) else {
            break;
        };
        parts.push(Value::from(&rest[..end]));
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() {
        parts.push(Value::from(rest));
    }
    parts
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let mut parts: Vec<Value> = match split_args(args)? {
        (Some(sep), None) => text.rsplit(&*sep).map(Value::from).collect(),
        (Some(sep), Some(max)) => text.rsplitn(max + 1, &*sep).map(Value::from).collect(),
        (None, None) => text.split_whitespace().rev().map(Value::from).collect(),
        (None, Some(_)) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "rsplit with maxsplit needs a separator",
            ));
        }
    };
    parts.reverse();
    Ok(Value::from(parts))
}

/// Head, separator, tail; without the separator the whole text stands where `whole` says (first,
/// last).
fn partition(
    text: &str,
    args: &[Value],
    find: impl Fn(&str, &str) -> Option<usize>,
    whole: (bool, bool),
) -> Result<Value, Error> {
    let (sep,): (&str,) = from_args(args)?;
    let parts = match find(text, sep) {
        Some(at) => [&text[..at], sep, &text[at + sep.len()..]],
        None => [
            if whole.0 { text } else { "" },
            "",
            if whole.1 { text } else { "" },
        ],
    };
    Ok(Value::from(Tuple::from(parts.map(Value::from))))
}

/// Python starts a word at every letter that follows a character without case, apostrophes
/// included.
fn title(text: &str) -> String {
    let mut in_word = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_lowercase() || c.is_uppercase();
    }
    out
}

fn zfill(text: &str, args: &[Value]) -> Result<String, Error> {
    let (width,): (usize,) = from_args(args)?;
    let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
    Ok(match text.strip_prefix(['-', '+']) {
        Some(digits) => format!("{}{zeros}{digits}", &text[..1]),
        None => format!("{zeros}{text}"),
    })
}

fn justified(text: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    let (width, fill): (usize, Option<char>) = from_args(args)?;
    let fill = fill.unwrap_or(' ').to_string();
    let missing = width.saturating_sub(text.chars().count());
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // CPython puts the odd blank left when the width is odd.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!(
        "{}{text}{}",
        fill.repeat(left),
        fill.repeat(missing - left)
    ))
}

fn index(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted,): (&str,) = from_args(args)?;
    match text.find(wanted) {
        Some(at) => Ok(Value::from(text[..at].chars().count())),
        None => Err(not_found("substring not found")),
    }
}

fn not_found(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}
