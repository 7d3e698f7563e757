//! Starts and ends of turns: by prefixes of the rendered conversation, or else by markers.

use std::ops::Range;

use super::marker::{Mark, mark};
use super::prefix::{boundaries, common_prefix, shared_prefix};
use crate::data::error::RowError;
use crate::data::json::Json;
use crate::data::template::Message;
use crate::data::tokenizer::Tokenizer;

/// Finder of the turns of one conversation.
pub(super) struct Finder<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) messages: &'a [Message],
    pub(super) tools: Option<&'a [Json]>,
    pub(super) marker: char,
    pub(super) other_marker: char,
    pub(super) full: &'a str,
}

impl Finder<'_> {
    /// The turn of message `index`.
    pub(super) fn turn(&self, index: usize) -> Result<Range<usize>, RowError> {
        let not_found = |edge| RowError::TurnNotFound { index, edge };
        let start = self.start(index).ok_or(not_found("starts"))?;
        let end = self.end(index, start).ok_or(not_found("ends"))?;
        // An empty answer may end before it starts, cut back over the blanks of its header.
        Ok(start..end.max(start))
    }

    fn start(&self, index: usize) -> Option<usize> {
        self.start_by_prefix(index)
            .or_else(|| self.start_by_marker(index))
            .or_else(|| self.start_by_header(index))
    }

    fn end(&self, index: usize, start: usize) -> Option<usize> {
        self.end_by_prefix(index)
            .or_else(|| self.end_by_marker(index, start))
    }

    fn start_by_prefix(&self, index: usize) -> Option<usize> {
        let before = self.render(&self.messages[..index], true)?;
        self.full.starts_with(&before).then_some(before.len())
    }

    fn end_by_prefix(&self, index: usize) -> Option<usize> {
        let so_far = self.render(&self.messages[..=index], false)?;
        self.full
            .starts_with(&so_far)
            .then(|| so_far.trim_end().len())
    }

    /// Behind the previous message come the end of its turn and the generation prompt, in the whole
    /// conversation as in the one so far. History may lack the last part of the prompt (an empty
    /// think block).
    fn start_by_marker(&self, index: usize) -> Option<usize> {
        let previous = index.checked_sub(1)?;
        let (marked, actual) = self.marked(previous)?;
        let expected = self.after_marker(&marked[..index], true)?;
        let end_of_turn = self.after_marker(&marked[..index], false)?;
        let shared = shared_prefix(&actual, &expected)?;
        let has_header =
            shared == expected.len() || shared > common_prefix(&end_of_turn, &expected);
        has_header.then(|| self.position_of(&actual[shared..]))?
    }

    /// Behind the turn's content comes what closes it (tool calls, the end-of-turn token), in the
    /// whole conversation as in the one so far.
    fn end_by_marker(&self, index: usize, start: usize) -> Option<usize> {
        let (marked, actual) = self.marked(index)?;
        if self.is_text_before(self.position_of(&actual), start) {
            return None;
        }
        let expected = self
            .after_marker(&marked[..=index], false)
            .or_else(|| self.after_marker_of_asked(&marked[..=index]))?;
        let expected = expected.trim_end();
        let shared = shared_prefix(&actual, expected)
            .or_else(|| self.other_closing_token(&actual, expected))?;
        self.position_of(&actual[actual[..shared].trim_end().len()..])
    }

    /// What is behind the last message after a question: a template may want one before the first
    /// answer.
    fn after_marker_of_asked(&self, marked: &[Message]) -> Option<String> {
        let (answer, before) = marked.split_last()?;
        let asked = [before, &[self.marked_user(), answer.clone()]].concat();
        self.after_marker(&asked, false)
    }

    /// Where nothing comes before a turn, or nothing that could be rendered without it: the turn
    /// starts behind the header that stands between the previous message and its own content.
    fn start_by_header(&self, index: usize) -> Option<usize> {
        let mut marked = self.messages.to_vec();
        mark(&mut marked[index], self.marker, Mark::ContentStart)?;
        if let Some(previous) = index.checked_sub(1) {
            mark(&mut marked[previous], self.other_marker, Mark::ContentEnd)?;
        }
        let rendered = self.render(&marked, false)?;
        let (before, _) = rendered.split_once(self.marker)?;
        let between = if index == 0 {
            before
        } else {
            before.rsplit_once(self.other_marker)?.1
        };
        let header = self.header()?;
        let end = boundaries(&header).find_map(|end| Some(between.rfind(&header[..end])? + end))?;
        let from_beginning = before.len() - between.len() + end;
        let unmarked = before[..from_beginning].replace(self.other_marker, "");
        self.full.starts_with(&unmarked).then_some(unmarked.len())
    }

    /// The generation prompt: what a user's message is followed by, less what ends that message.
    fn header(&self) -> Option<String> {
        let user = [self.marked_user()];
        let with = self.after_marker(&user, true)?;
        let without = self.after_marker(&user, false)?;
        let end_of_turn = shared_prefix(&with, &without).unwrap_or(0);
        Some(with[end_of_turn..].to_owned())
    }

    /// A template may close the last turn with another token than those before (gpt-oss:
    /// `<|return|>` and `<|end|>`).
    fn other_closing_token(&self, actual: &str, expected: &str) -> Option<usize> {
        let first = |text: &str| {
            let encoded = self.tokenizer.encode_with_offsets(text, false).ok()?;
            let is_special = self.tokenizer.is_special(*encoded.ids.first()?);
            is_special.then(|| encoded.ranges.first().map(|range| range.end))?
        };
        (first(expected)? == expected.len()).then(|| first(actual))?
    }

    /// `None` when the template refuses: it may want more than a part of the conversation.
    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Option<String> {
        self.tokenizer
            .apply_chat_template(messages, self.tools, add_generation_prompt)
            .ok()
    }

    /// A user's message that is only the marker.
    fn marked_user(&self) -> Message {
        let fields = [
            ("role", "user".to_owned()),
            ("content", self.marker.to_string()),
        ];
        fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Json::from(value)))
            .collect()
    }

    /// All messages with the marker in one of them, at the first place where the template shows it,
    /// and what the whole conversation holds behind it.
    fn marked(&self, index: usize) -> Option<(Vec<Message>, String)> {
        [Mark::ContentEnd, Mark::ToolName]
            .into_iter()
            .find_map(|place| {
                let mut messages = self.messages.to_vec();
                mark(&mut messages[index], self.marker, place)?;
                let after = self.after_marker(&messages, false)?;
                Some((messages, after))
            })
    }

    fn after_marker(&self, messages: &[Message], add_generation_prompt: bool) -> Option<String> {
        let rendered = self.render(messages, add_generation_prompt)?;
        rendered
            .rsplit_once(self.marker)
            .map(|(_, after)| after.to_owned())
    }

    /// Whether `position` comes before `start` with more than blanks between them, as an empty
    /// answer has.
    fn is_text_before(&self, position: Option<usize>, start: usize) -> bool {
        let between = position.and_then(|position| self.full.get(position..start));
        between.is_some_and(|text| !text.trim().is_empty())
    }

    /// Where the conversation goes on with `rest`, to its end.
    fn position_of(&self, rest: &str) -> Option<usize> {
        self.full.strip_suffix(rest).map(str::len)
    }
}
