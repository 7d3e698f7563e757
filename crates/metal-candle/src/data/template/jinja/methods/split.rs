//! `split` and its kin.

use super::super::error::{Error, Result};
use super::super::render::{Args, Render};
use super::super::text::{is_space, lines};
use super::super::value::{Text, Value};
use super::{int_argument, text_argument};

pub(super) fn call(render: &Render<'_>, text: &Text, name: &str, args: Args) -> Result<Value> {
    let (source, budget) = (&*text.text, &render.budget);
    let parts = match name {
        "split" | "rsplit" => split(source, name, args)?,
        "splitlines" => {
            let [keep_ends] = args.bind(name, ["keepends"])?;
            lines(source, keep_ends.is_some_and(|keep| keep.is_true()))
        }
        _ => partition(source, name, args)?,
    };
    budget.items(parts.len().saturating_mul(2))?;
    let parts = parts
        .into_iter()
        .map(|part| Value::text(part, text.escaped))
        .collect();
    match name {
        "partition" | "rpartition" => Value::tuple(parts, budget),
        _ => Value::list(parts, budget),
    }
}

/// `split(sep=none, maxsplit=-1)`; a negative `maxsplit` means no limit.
fn split<'t>(text: &'t str, name: &str, args: Args) -> Result<Vec<&'t str>> {
    let [separator, limit] = args.bind(name, ["sep", "maxsplit"])?;
    let separator = match &separator {
        None | Some(Value::None) => None,
        separator => Some(text_argument(separator.as_ref(), name)?),
    };
    let limit = int_argument(limit.as_ref(), name, false)?.unwrap_or(-1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let from_right = name == "rsplit";
    let Some(separator) = separator else {
        return Ok(if from_right {
            words_from_right(text, limit)
        } else {
            words(text, limit)
        });
    };
    if separator.is_empty() {
        return Err(Error::render("empty separator"));
    }
    let n = limit.saturating_add(1);
    if !from_right {
        return Ok(text.splitn(n, separator).collect());
    }
    let mut parts: Vec<_> = text.rsplitn(n, separator).collect();
    parts.reverse();
    Ok(parts)
}

/// The first `limit` words, then the rest as it is.
fn words(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while parts.len() < limit
        && let Some(end) = rest.find(is_space)
    {
        parts.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// The rest as it is, then the last `limit` words.
fn words_from_right(text: &str, limit: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while parts.len() < limit
        && let Some((at, blank)) = rest.char_indices().rev().find(|(_, c)| is_space(*c))
    {
        parts.push(&rest[at + blank.len_utf8()..]);
        rest = rest[..at].trim_end_matches(is_space);
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts.reverse();
    parts
}

/// Head, separator, tail; without the separator the whole text is the first part, or the last.
fn partition<'t>(text: &'t str, name: &str, args: Args) -> Result<Vec<&'t str>> {
    let [separator] = args.bind_positional(name)?;
    let separator = text_argument(separator.as_ref(), name)?;
    if separator.is_empty() {
        return Err(Error::render("empty separator"));
    }
    let at = match name {
        "partition" => text.find(separator),
        _ => text.rfind(separator),
    };
    Ok(match at {
        Some(at) => {
            let end = at + separator.len();
            vec![&text[..at], &text[at..end], &text[end..]]
        }
        None if name == "partition" => vec![text, "", ""],
        None => vec!["", "", text],
    })
}
