//! Methods that look for a text inside of a part of another: positions count characters.

use super::super::error::{Error, Result};
use super::super::render::Args;
use super::super::value::Value;
use super::{int_argument, text_argument};

pub(super) fn call(text: &str, name: &str, args: Args) -> Result<Value> {
    let [wanted, start, end] = args.bind_positional(name)?;
    let start = int_argument(start.as_ref(), name, true)?;
    let end = int_argument(end.as_ref(), name, true)?;
    let range = part(text, start, end);
    if let "startswith" | "endswith" = name {
        return affix(range.map(|(_, part)| part), name, wanted.as_ref());
    }
    let wanted = text_argument(wanted.as_ref(), name)?;
    let Some((offset, part)) = range else {
        return absent(name);
    };
    let at = match name {
        "count" => return Ok(Value::count(part.matches(wanted).count())),
        "find" | "index" => part.find(wanted),
        _ => part.rfind(wanted),
    };
    match at {
        Some(at) => Ok(Value::count(offset + part[..at].chars().count())),
        None => absent(name),
    }
}

fn absent(name: &str) -> Result<Value> {
    match name {
        "count" => Ok(Value::Int(0)),
        "find" | "rfind" => Ok(Value::Int(-1)),
        _ => Err(Error::render("substring not found")),
    }
}

/// Characters from `start` to `end` with their offset; `None` if the range ends before it starts.
fn part(text: &str, start: Option<i128>, end: Option<i128>) -> Option<(usize, &str)> {
    if start.is_none() && end.is_none() {
        return Some((0, text));
    }
    let length = text.chars().count() as i128;
    let from_end = |index: i128| {
        if index < 0 {
            (index + length).max(0)
        } else {
            index
        }
    };
    let start = from_end(start.unwrap_or(0));
    let end = from_end(end.unwrap_or(length)).min(length);
    if start > end {
        return None;
    }
    let byte = |index: i128| {
        let mut at = text.char_indices().map(|(at, _)| at);
        at.nth(index as usize).unwrap_or(text.len())
    };
    Some((start as usize, &text[byte(start)..byte(end)]))
}

/// `startswith` and `endswith`, which take a tuple of texts too.
fn affix(part: Option<&str>, name: &str, wanted: Option<&Value>) -> Result<Value> {
    let has = |affix: &str| match name {
        "startswith" => part.is_some_and(|part| part.starts_with(affix)),
        _ => part.is_some_and(|part| part.ends_with(affix)),
    };
    let Some(Value::Tuple(affixes)) = wanted else {
        return Ok(Value::Bool(has(text_argument(wanted, name)?)));
    };
    for affix in &affixes.values {
        if has(text_argument(Some(affix), name)?) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
