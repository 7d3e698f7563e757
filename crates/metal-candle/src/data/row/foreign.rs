//! Rows for other ways of training, which would be trained as something that they are not.

use super::RowError;
use crate::data::json::{Json, Object};

/// Keys of rows that a text model cannot see.
const MEDIA: [(&str, &str); 7] = [
    ("image", "an image"),
    ("images", "images"),
    ("audio", "audio"),
    ("audios", "audio"),
    ("video", "a video"),
    ("videos", "videos"),
    ("image_url", "an image"),
];

/// What a row of two answers is.
pub(in crate::data) const PREFERENCE: Kind = (
    &["chosen", "rejected"],
    "preference data (DPO, ORPO, reward models)",
);

/// Refuses media and process supervision, and answers to compare where the rows of the file are of another kind.
pub(super) fn check(row: &Object, refuses_answers: bool) -> Result<(), RowError> {
    if let Some((keys, what)) = labelled(row).or_else(|| answers(row).filter(|_| refuses_answers)) {
        return Err(RowError::Preference { keys, what });
    }
    let media = MEDIA
        .iter()
        .find(|(key, _)| row.get(*key).is_some_and(|value| !is_empty(value)));
    match media {
        Some((key, what)) => Err(RowError::Media {
            field: (*key).to_owned(),
            what,
        }),
        None => Ok(()),
    }
}

type Kind = (&'static [&'static str], &'static str);

fn answers(row: &Object) -> Option<Kind> {
    let is_answer = |key: &str| match row.get(key) {
        Some(Json::String(_) | Json::Array(_) | Json::Object(_)) => true,
        // A flag of whoever looked through the rows.
        _ => false,
    };
    (is_answer("chosen") || is_answer("rejected")).then_some(PREFERENCE)
}

fn labelled(row: &Object) -> Option<Kind> {
    let has = |key: &str| row.get(key).is_some_and(|value| !value.is_null());
    if has("completions") && has("labels") {
        return Some((&["completions", "labels"], "process supervision data (PRM)"));
    }
    // A label beside a text belongs to a classifier's data, of which the text can be trained.
    let has_answer = (has("prompt") && has("completion")) || has("messages");
    let is_verdict = matches!(row.get("label"), Some(Json::Bool(_) | Json::Int(0 | 1)));
    (has_answer && is_verdict).then_some((&["label"], "unpaired preference data (KTO)"))
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.is_empty(),
        Json::String(text) => text.is_empty(),
        value => value.is_null(),
    }
}
