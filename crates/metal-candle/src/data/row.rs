//! One line of a JSONL data set. The kinds of rows, and the order in which they are told apart, are
//! those of mlx-lm.

use serde_json::{Map, Value};

use super::error::RowError;
use super::template::Message;

/// What one line of a data set holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// `prompt` and `completion` (and maybe `tools`).
    Completion {
        /// What is given.
        prompt: String,
        /// What is to be learnt.
        completion: String,
        /// Function schemas for the chat template.
        tools: Option<Vec<Value>>,
    },
    /// `messages` (and maybe `tools`).
    Messages {
        /// The conversation, every field as it was read.
        messages: Vec<Message>,
        /// Function schemas for the chat template.
        tools: Option<Vec<Value>>,
    },
    /// `text`.
    Text(String),
}

/// The kind of a row; all rows of a file are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// `prompt` and `completion`.
    Completion,
    /// `messages`.
    Messages,
    /// `text`.
    Text,
}

impl RowKind {
    const ALL: [Self; 3] = [Self::Completion, Self::Messages, Self::Text];

    /// The keys that make a row of this kind.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Completion => &["prompt", "completion"],
            Self::Messages => &["messages"],
            Self::Text => &["text"],
        }
    }

    /// The kind of `row`: the first whose keys are all there.
    fn of(row: &Map<String, Value>) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.missing(row).is_none())
    }

    fn missing(self, row: &Map<String, Value>) -> Option<&'static str> {
        self.keys()
            .iter()
            .find(|key| !row.contains_key(**key))
            .copied()
    }
}

impl Row {
    /// Reads one line. `kind` is that of the file's first row; `None` on that row itself.
    ///
    /// # Errors
    /// When the line is no JSON object, is of another kind, or a field has the wrong type.
    pub fn parse(line: &[u8], kind: Option<RowKind>) -> Result<Self, RowError> {
        let mut row = match serde_json::from_slice(line)? {
            Value::Object(row) => row,
            other => {
                return Err(RowError::NotAnObject {
                    got: type_name(&other),
                });
            }
        };
        let keys = |row: &Map<String, Value>| row.keys().cloned().collect();
        let Some(kind) = kind.or_else(|| RowKind::of(&row)) else {
            return Err(RowError::UnknownKind { got: keys(&row) });
        };
        if let Some(key) = kind.missing(&row) {
            return Err(RowError::OtherKind {
                expected: kind.keys(),
                key,
                got: keys(&row),
            });
        }
        Ok(match kind {
            RowKind::Text => Self::Text(take_string(&mut row, "text")?),
            RowKind::Messages => Self::Messages {
                messages: take_messages(&mut row)?,
                tools: take_tools(&mut row)?,
            },
            RowKind::Completion => Self::Completion {
                prompt: take_string(&mut row, "prompt")?,
                completion: take_string(&mut row, "completion")?,
                tools: take_tools(&mut row)?,
            },
        })
    }

    /// The kind of this row.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Completion { .. } => RowKind::Completion,
            Self::Messages { .. } => RowKind::Messages,
            Self::Text(_) => RowKind::Text,
        }
    }
}

fn take_string(row: &mut Map<String, Value>, key: &str) -> Result<String, RowError> {
    match row.remove(key) {
        Some(Value::String(text)) => Ok(text),
        other => Err(wrong_type(key, "a string", other.as_ref())),
    }
}

fn take_messages(row: &mut Map<String, Value>) -> Result<Vec<Message>, RowError> {
    let messages = match row.remove("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(RowError::NoMessages),
        other => return Err(wrong_type("messages", "a list", other.as_ref())),
    };
    messages
        .into_iter()
        .enumerate()
        .map(|(i, message)| check_message(i, message))
        .collect()
}

fn check_message(i: usize, message: Value) -> Result<Message, RowError> {
    let Value::Object(message) = message else {
        return Err(wrong_type(
            &format!("messages[{i}]"),
            "an object",
            Some(&message),
        ));
    };
    match message.get("role") {
        Some(Value::String(_)) => Ok(message),
        other => Err(wrong_type(
            &format!("messages[{i}].role"),
            "a string",
            other,
        )),
    }
}

fn take_tools(row: &mut Map<String, Value>) -> Result<Option<Vec<Value>>, RowError> {
    match row.remove("tools") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(tools)) => Ok(Some(tools)),
        other => Err(wrong_type("tools", "a list", other.as_ref())),
    }
}

fn wrong_type(field: &str, expected: &'static str, got: Option<&Value>) -> RowError {
    RowError::WrongType {
        field: field.to_owned(),
        expected,
        got: got.map_or("nothing", type_name),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(line: &str) -> Result<Row, RowError> {
        Row::parse(line.as_bytes(), None)
    }

    #[test]
    fn the_kind_is_told_by_mlx_order() {
        let all =
            r#"{"text": "t", "messages": [{"role": "user"}], "prompt": "p", "completion": "c"}"#;
        assert_eq!(first(all).unwrap().kind(), RowKind::Completion);
        let two = r#"{"text": "t", "messages": [{"role": "user"}], "prompt": "p"}"#;
        assert_eq!(first(two).unwrap().kind(), RowKind::Messages);
        assert_eq!(first(r#"{"text": "t"}"#).unwrap(), Row::Text("t".into()));
    }

    #[test]
    fn a_message_keeps_its_fields_in_order() {
        let row = first(r#"{"messages": [{"zeta": 1, "role": "user", "alpha": null}]}"#).unwrap();
        let Row::Messages { messages, tools } = row else {
            panic!("not messages")
        };
        assert_eq!(
            messages[0].keys().collect::<Vec<_>>(),
            ["zeta", "role", "alpha"]
        );
        assert_eq!(tools, None);
    }

    #[test]
    fn a_row_of_another_kind_is_an_error() {
        let error = Row::parse(br#"{"text": "t"}"#, Some(RowKind::Messages)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\"messages\"") && text.contains("\"text\""),
            "{text}"
        );
        // The first row decides, even where a later one has more keys.
        let row = Row::parse(
            br#"{"text": "t", "prompt": "p", "completion": "c"}"#,
            Some(RowKind::Text),
        );
        assert_eq!(row.unwrap(), Row::Text("t".into()));
    }

    #[test]
    fn each_wrong_row_says_what_is_wrong() {
        let cases = [
            (r#"{"text": "t""#, "not valid JSON"),
            (r#"[1]"#, "expected a JSON object, got a list"),
            (r#"{"instruction": "i"}"#, "got \"instruction\""),
            (r#"{}"#, "got no keys"),
            (r#"{"text": 1}"#, "text: expected a string, got a number"),
            (
                r#"{"prompt": ["p"], "completion": "c"}"#,
                "prompt: expected a string, got a list",
            ),
            (
                r#"{"messages": "m"}"#,
                "messages: expected a list, got a string",
            ),
            (r#"{"messages": []}"#, "at least one message"),
            (
                r#"{"messages": ["m"]}"#,
                "messages[0]: expected an object, got a string",
            ),
            (
                r#"{"messages": [{"role": "user"}, {"content": "c"}]}"#,
                "messages[1].role: expected a string, got nothing",
            ),
            (
                r#"{"messages": [{"role": "user"}], "tools": {}}"#,
                "tools: expected a list, got an object",
            ),
        ];
        for (line, expected) in cases {
            let text = first(line).unwrap_err().to_string();
            assert!(text.contains(expected), "{line}: {text}");
        }
    }

    #[test]
    fn tools_may_be_null() {
        let row = first(r#"{"messages": [{"role": "user"}], "tools": null}"#).unwrap();
        assert!(matches!(row, Row::Messages { tools: None, .. }));
    }
}
