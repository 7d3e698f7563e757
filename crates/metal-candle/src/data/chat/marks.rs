//! Marks of what is trained: OpenAI's `weight` (0 or 1), axolotl's `train` and `training` (true or
//! false). They are no part of the conversation, so that no template sees them.

use crate::data::error::RowError;
use crate::data::json::Json;
use crate::data::row::{wrong_type, zero_or_one};
use crate::data::template::Message;

const MARKS: [&str; 3] = ["weight", "train", "training"];

/// Takes the marks out of all messages; gives whether each of the assistant's turns is trained.
///
/// # Errors
/// For a mark that is none, two that differ, a turn of somebody else that wants to be trained, and
/// without `mask_prompt` for a turn that wants not to be.
pub(super) fn take(messages: &mut [Message], mask_prompt: bool) -> Result<Vec<bool>, RowError> {
    let mut turns = Vec::new();
    for (index, message) in messages.iter_mut().enumerate() {
        let mark = take_mark(index, message)?;
        let is_assistant = message.get("role").and_then(Json::as_str) == Some("assistant");
        match mark {
            Some((field, false)) if !mask_prompt => return Err(RowError::MarkNeedsMask { field }),
            Some((field, true)) if !is_assistant => return Err(RowError::MarkOfOther { field }),
            _ => {}
        }
        if is_assistant {
            turns.push(mark.is_none_or(|(_, is_trained)| is_trained));
        }
    }
    Ok(turns)
}

fn take_mark(index: usize, message: &mut Message) -> Result<Option<(String, bool)>, RowError> {
    let mut mark: Option<(String, bool)> = None;
    for key in MARKS {
        let Some(value) = message.shift_remove(key) else {
            continue;
        };
        let field = format!("messages[{index}].{key}");
        let is_trained = match (key, &value) {
            ("weight", weight) => zero_or_one(&field, weight)?,
            (_, Json::Bool(flag)) => *flag,
            (_, other) => return Err(wrong_type(&field, "true or false", Some(other))),
        };
        match mark {
            Some((other, was_trained)) if was_trained != is_trained => {
                return Err(RowError::MarksDiffer { field, other });
            }
            _ => mark = Some((field, is_trained)),
        }
    }
    Ok(mark)
}
