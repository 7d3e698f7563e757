//! Fingerprints of rows: equal for rows that say the same, whatever file, container or columns they come from, and in
//! every version.

use sha2::{Digest, Sha256};

use super::json::{Json, Object};
use super::row::{Content, Row};

/// Fingerprint of a row.
pub(super) type Fingerprint = u128;

/// The fingerprint of a row.
pub(super) fn of(row: &Row) -> Fingerprint {
    let mut writer = Writer(Sha256::new());
    writer.row(row);
    let hash: [u8; 32] = writer.0.finalize().into();
    let (start, _) = hash.split_at(16);
    start
        .iter()
        .fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// Writer of values of which none is the beginning of another.
struct Writer(Sha256);

impl Writer {
    fn row(&mut self, row: &Row) {
        match row {
            Row::Completion {
                prompt, completion, ..
            } => self.texts(b'c', &[prompt, completion]),
            Row::Continuation { prompt, completion } => self.texts(b'u', &[prompt, completion]),
            Row::Text(text) => self.texts(b't', &[text]),
            Row::Messages { messages, .. } => self.messages(messages),
            Row::Exchange {
                prompt, completion, ..
            } => {
                self.messages(prompt);
                self.messages(completion);
            }
            Row::Preference {
                prompt,
                chosen,
                rejected,
                ..
            } => {
                for content in prompt.iter().chain([chosen, rejected]) {
                    self.content(content);
                }
            }
        }
        let tools = row.tools().unwrap_or_default();
        tools.iter().for_each(|tool| self.value(tool));
    }

    fn content(&mut self, content: &Content) {
        match content {
            Content::Text(text) => self.texts(b't', &[text]),
            Content::Messages(messages) => self.messages(messages),
        }
    }

    fn messages(&mut self, messages: &[Object]) {
        self.mark(b'm', messages.len());
        messages.iter().for_each(|message| self.object(message));
    }

    /// Nulls are absent keys.
    fn object(&mut self, object: &Object) {
        let entries = object.iter().filter(|(_, value)| !value.is_null());
        for (key, value) in entries {
            self.texts(b'k', &[key]);
            self.value(value);
        }
        self.mark(b'}', 0);
    }

    fn value(&mut self, value: &Json) {
        match value {
            Json::Null => self.mark(b'n', 0),
            Json::Bool(flag) => self.mark(b'b', (*flag).into()),
            Json::Int(n) => self.texts(b'i', &[&n.to_string()]),
            Json::BigInt(digits) => self.texts(b'i', &[digits]),
            Json::Float(x) => {
                self.mark(b'f', 0);
                self.0.update(x.to_bits().to_be_bytes());
            }
            Json::String(text) => self.texts(b's', &[text]),
            Json::LoneSurrogate | Json::Bytes => self.mark(b'l', 0),
            Json::Array(items) => {
                self.mark(b'[', items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Json::Object(object) => self.object(object),
        }
    }

    fn texts(&mut self, kind: u8, texts: &[&str]) {
        for text in texts {
            self.mark(kind, text.len());
            self.0.update(text);
        }
    }

    fn mark(&mut self, kind: u8, n: usize) {
        self.0.update([kind]);
        self.0.update((n as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_say_the_same_have_one_fingerprint() {
        let message = |fields: &[(&str, Json)]| {
            let fields = fields
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()));
            Row::Messages {
                messages: vec![fields.collect()],
                tools: None,
            }
        };
        let plain = message(&[("role", "user".into()), ("content", "a".into())]);
        let null = message(&[
            ("role", "user".into()),
            ("weight", Json::Null),
            ("content", "a".into()),
        ]);
        assert_eq!(of(&plain), of(&null));
        assert_ne!(
            of(&plain),
            of(&message(&[
                ("role", "user".into()),
                ("content", "b".into())
            ]))
        );
        assert_ne!(
            of(&Row::completion("ab", "c")),
            of(&Row::completion("a", "bc"))
        );
        assert_ne!(of(&Row::Text("a".into())), of(&Row::Text("b".into())));
        // SHA-256 of `t`, the length 1 in eight bytes, and `a`: every version holds out the same rows.
        let expected = 0x6f51b63f86bbf638a5a5899700c9bd30;
        assert_eq!(of(&Row::Text("a".into())), expected);
    }
}
