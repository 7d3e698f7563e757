//! A character that nobody writes, put into a message in order to find the message in what a
//! template renders.

use crate::data::json::Json;
use crate::data::template::Message;

/// Place of the marker in a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// Before the content's first character.
    ContentStart,
    /// Behind the content's last character.
    ContentEnd,
    /// Behind the name of the last tool called: some templates render no content beside tool calls.
    ToolName,
}

/// Two characters of the private use area that `text` does not hold.
pub(super) fn unused_characters(text: &str) -> [char; 2] {
    let mut unused = ('\u{E000}'..='\u{F8FF}').filter(|&c| !text.contains(c));
    [
        unused.next().unwrap_or('\u{F8FE}'),
        unused.next().unwrap_or('\u{F8FF}'),
    ]
}

/// Puts `marker` into `message`; `None` when it has no such place.
pub(super) fn mark(message: &mut Message, marker: char, place: Mark) -> Option<()> {
    match place {
        Mark::ContentStart => mark_content(message, &|text| text.insert(0, marker), false),
        Mark::ContentEnd => mark_content(message, &|text| text.push(marker), true),
        Mark::ToolName => mark_tool_name(message, marker),
    }
}

/// Edits the content, or the last (or first) text part of a list. An absent content becomes the
/// marker alone.
fn mark_content(message: &mut Message, edit: &dyn Fn(&mut String), last_part: bool) -> Option<()> {
    let content = message.entry("content".to_owned()).or_insert(Json::Null);
    if content.is_null() {
        *content = Json::from("");
    }
    match content {
        Json::String(text) => edit(text),
        Json::Array(parts) => {
            let mut texts = parts.iter_mut().filter_map(|part| part.get_mut("text"));
            let text = if last_part {
                texts.next_back()
            } else {
                texts.next()
            };
            edit_string(text?, edit)?;
        }
        _ => return None,
    }
    Some(())
}

fn mark_tool_name(message: &mut Message, marker: char) -> Option<()> {
    let Json::Array(calls) = message.get_mut("tool_calls")? else {
        return None;
    };
    let mut call = calls.last_mut()?;
    // OpenAI wraps name and arguments into `function`; some data sets do not.
    if call.get("function").is_some() {
        call = call.get_mut("function")?;
    }
    edit_string(call.get_mut("name")?, &|name| name.push(marker))
}

fn edit_string(value: &mut Json, edit: &dyn Fn(&mut String)) -> Option<()> {
    let Json::String(text) = value else {
        return None;
    };
    edit(text);
    Some(())
}
