//! Shapes, told by the columns of a row.

use super::ambiguous::way;
use super::pair::{CONTEXTS, Pair};
use super::preference::{CHOSEN, Preference, REJECTED};
use super::{Columns, Keys, Shape, chat, names, path};
use crate::data::error::RowError;
use crate::data::json::{Json, Object};

/// Columns of conversations, besides `messages`.
const CHATS: [&str; 6] = [
    "conversations",
    "conversation",
    "dialogue",
    "dialog",
    "chat",
    "turns",
];

/// Columns of what is given, with any of [`COMPLETIONS`].
const PROMPTS: [&str; 5] = ["prompt", "instruction", "question", "query", "problem"];

/// Columns of what is to be learnt.
const COMPLETIONS: [&str; 5] = ["completion", "response", "output", "answer", "solution"];

/// Pairs of columns of other names.
const PAIRS: [(&str, &str); 8] = [
    ("inputs", "targets"),
    ("source", "target"),
    ("user", "assistant"),
    ("human", "assistant"),
    ("human", "bot"),
    ("article", "highlights"),
    ("document", "summary"),
    ("dialogue", "summary"),
];

/// The shape of a row: what a person named, or else what mlx-lm would take, or else the only other one.
pub(super) fn shape(row: &Object, keys: &Keys) -> Result<Shape, RowError> {
    if !keys.is_empty() {
        return told(row, keys);
    }
    if let Some(shape) = preference(row, None).or_else(|| of_mlx(row)) {
        return Ok(shape);
    }
    let mut shapes = conversations(row);
    shapes.extend(pairs(row));
    if !matches!(&shapes[..], [only] if is_rendered(row, only)) {
        shapes.extend(texts(row));
    }
    match (shapes.len(), shapes.pop()) {
        (1, Some(shape)) => Ok(shape),
        (_, None) => Err(RowError::UnknownKind { got: names(row) }),
        (_, Some(last)) => {
            shapes.push(last);
            Err(RowError::Ambiguous {
                got: names(row),
                ways: shapes.iter().map(way).collect(),
            })
        }
    }
}

/// Columns that a person named, in mlx-lm's order of kinds where several are.
fn told(row: &Object, keys: &Keys) -> Result<Shape, RowError> {
    let has = |key: &&String| path::get(row, key).is_some();
    let told = |name: &str, columns| Ok(Shape::new(name, columns, row, true));
    if keys.prompt.is_some() || keys.completion.is_some() {
        let ours = told_pair(row, keys);
        let others = keys.chat.iter().chain(&keys.text).any(|key| has(&key));
        match ours {
            Err(_) if others => {}
            Err(error) => return told_preference(row, keys).ok_or(error),
            Ok(pair) => return told(&name_of(&pair), Columns::Pair(pair)),
        }
    }
    if let Some(key) = keys.chat.as_ref().filter(has) {
        return told("conversations", Columns::Chat(key.clone()));
    }
    if let Some(key) = keys.text.as_ref().filter(has) {
        return told("text", Columns::Text(key.clone()));
    }
    let key = keys.chat.as_ref().or(keys.text.as_ref());
    Err(no_column(row, key.map_or("", String::as_str)))
}

/// Answers of which one is preferred, to what stands in the column that alone was named.
fn told_preference(row: &Object, keys: &Keys) -> Option<Shape> {
    let prompt = keys.prompt.as_ref().filter(|_| keys.completion.is_none())?;
    let is_there = path::get(row, prompt).is_some();
    is_there.then(|| preference(row, Some(prompt))).flatten()
}

/// The columns of a pair of which at least one was named.
fn told_pair(row: &Object, keys: &Keys) -> Result<Pair, RowError> {
    let column = |named: Option<&String>, usual: &[&'static str]| match named {
        Some(key) if path::get(row, key).is_some() => Ok(key.clone()),
        Some(key) => Err(no_column(row, key)),
        None => only(row, usual).map(str::to_owned),
    };
    let completion = column(keys.completion.as_ref(), &COMPLETIONS)?;
    let mut usual = PROMPTS.to_vec();
    usual.extend(
        PROMPTS
            .iter()
            .all(|key| path::get(row, key).is_none())
            .then_some("input"),
    );
    usual.retain(|key| *key != completion);
    Ok(Pair::new(
        &column(keys.prompt.as_ref(), &usual)?,
        &completion,
    ))
}

/// The only one of some columns that a row has.
fn only(row: &Object, usual: &[&'static str]) -> Result<&'static str, RowError> {
    let found: Vec<&'static str> = usual
        .iter()
        .copied()
        .filter(|key| is_side(row, key))
        .collect();
    match found[..] {
        [one] => Ok(one),
        _ => Err(RowError::UnknownKind { got: names(row) }),
    }
}

fn no_column(row: &Object, key: &str) -> RowError {
    RowError::NoColumn {
        key: key.to_owned(),
        got: names(row),
    }
}

/// Answers of which one is preferred, to the prompt in the column `told` or that which is found; a flag of that name is no
/// answer.
fn preference(row: &Object, told: Option<&String>) -> Option<Shape> {
    let is_answer = |key: &str| {
        let value = path::get(row, key);
        matches!(
            value,
            Some(Json::String(_) | Json::Array(_) | Json::Object(_))
        )
    };
    let mut prompts = PROMPTS.into_iter().chain(CHATS);
    let found = || prompts.find(|key| is_answer(key)).map(str::to_owned);
    let prompt = told.cloned().or_else(found);
    let columns = Columns::Preference(Preference { prompt });
    let both = is_answer(CHOSEN) && is_answer(REJECTED);
    both.then(|| Shape::new("preference", columns, row, told.is_some()))
}

/// The kinds of mlx-lm in its order, but for `text`.
fn of_mlx(row: &Object) -> Option<Shape> {
    let has = |key: &str| path::get(row, key).is_some();
    if has("prompt") && has("completion") {
        let pair = Columns::Pair(Pair::new("prompt", "completion"));
        return Some(Shape::new("prompt/completion", pair, row, false));
    }
    let messages = || Shape::new("messages", Columns::Chat("messages".into()), row, false);
    has("messages").then(messages)
}

fn conversations(row: &Object) -> Vec<Shape> {
    let is_one = |key: &&str| path::get(row, key).is_some_and(chat::is_one);
    let found = CHATS.into_iter().filter(is_one);
    let shape = |key: &str| {
        let first = path::get(row, key).and_then(|value| match value {
            Json::Array(items) => items.first()?.as_object()?.get("from"),
            _ => None,
        });
        let name = if first.is_some() {
            "ShareGPT"
        } else {
            "conversations"
        };
        Shape::new(name, Columns::Chat(key.to_owned()), row, false)
    };
    found.map(shape).collect()
}

/// Pairs of columns, every one that a row has.
fn pairs(row: &Object) -> Vec<Shape> {
    let has = |key: &str| is_side(row, key);
    let mut prompts: Vec<&str> = PROMPTS.into_iter().filter(|key| has(key)).collect();
    // Beside a prompt it is what the prompt is about.
    prompts.extend((prompts.is_empty() && has(CONTEXTS[0])).then_some(CONTEXTS[0]));
    let completions = COMPLETIONS.into_iter().filter(|key| has(key));
    let usual =
        completions.flat_map(|completion| prompts.iter().map(move |prompt| (*prompt, completion)));
    let others = PAIRS
        .into_iter()
        .filter(|(prompt, completion)| has(prompt) && has(completion));
    let shape = |(prompt, completion): (&str, &str)| {
        let pair = Pair::new(prompt, completion);
        Shape::new(name_of(&pair), Columns::Pair(pair), row, false)
    };
    usual.chain(others).map(shape).collect()
}

fn is_side(row: &Object, key: &str) -> bool {
    path::get(row, key).and_then(Json::as_str).is_some()
}

/// What people call a pair of columns.
fn name_of(pair: &Pair) -> String {
    match (pair.prompt.as_str(), pair.completion.as_str()) {
        ("instruction", "output") => "alpaca".into(),
        (prompt, completion) => format!("{prompt}/{completion}"),
    }
}

/// Whether the column `text` is a rendering of what the columns of `shape` hold, as alpaca has it: all of their texts
/// stand in it.
fn is_rendered(row: &Object, shape: &Shape) -> bool {
    let Some(text) = path::get(row, "text").and_then(Json::as_str) else {
        return false;
    };
    let is_part = |value: Option<&Json>| {
        let part = value.and_then(Json::as_str);
        part.is_some_and(|part| text.contains(part.trim()))
    };
    match &shape.columns {
        Columns::Pair(pair) => [&pair.prompt, &pair.completion]
            .into_iter()
            .all(|key| is_part(path::get(row, key))),
        Columns::Chat(key) => chat::column(row, key).is_ok_and(|messages| {
            let mut contents = messages.iter().map(|message| message.get("content"));
            contents.all(is_part)
        }),
        Columns::Text(_) | Columns::Preference(_) => false,
    }
}

/// What is no text is an error of the row, not another kind.
fn texts(row: &Object) -> Option<Shape> {
    path::get(row, "text")?;
    Some(Shape::new("text", Columns::Text("text".into()), row, false))
}
