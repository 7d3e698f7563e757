//! Keys that a chat template reads, as far as its source shows.

/// The source of a template.
pub(super) struct Reads<'a> {
    source: &'a str,
    reads_all: bool,
}

/// Ways to print a whole message, without the blanks that [`dense`] removes.
const WHOLE: [&str; 8] = [
    "message|tojson",
    "messages|tojson",
    "m|tojson",
    "msg|tojson",
    "message.items()",
    "message|items",
    "{{message}}",
    "{{messages}}",
];

impl<'a> Reads<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        let dense = dense(source);
        Self {
            source,
            reads_all: WHOLE.iter().any(|way| stands_in(&dense, way)),
        }
    }

    /// Whether a message's key is read: `.key`, `'key'` or `"key"` stands somewhere, or a whole
    /// message is printed. Every template reads `role` and `content`.
    pub(super) fn key(&self, key: &str) -> bool {
        self.reads_all || key == "role" || key == "content" || self.names(key)
    }

    /// Whether the variable `tools` is read.
    pub(super) fn tools(&self) -> bool {
        self.source.contains("tools")
    }

    fn names(&self, key: &str) -> bool {
        self.source.match_indices(key).any(|(at, _)| {
            let before = self.source[..at].chars().next_back();
            let after = self.source[at + key.len()..].chars().next();
            match before {
                Some('.') => !after.is_some_and(|c| c.is_alphanumeric() || c == '_'),
                Some(quote @ ('\'' | '"')) => after == Some(quote),
                _ => false,
            }
        })
    }
}

/// A source without blanks around filters and inside of printing braces.
fn dense(source: &str) -> String {
    let blanks = [
        ("{{-", "{{"),
        ("-}}", "}}"),
        ("{{ ", "{{"),
        (" }}", "}}"),
        (" |", "|"),
        ("| ", "|"),
    ];
    blanks
        .iter()
        .fold(source.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Whether `words` stand in `text`, not as the end of a longer name.
fn stands_in(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_prints_whole_messages_reads_every_key() {
        for source in [
            "{% for m in messages %}{{- m | tojson -}}{% endfor %}",
            "{{ messages|tojson(indent=2) }}",
            "{% for k, v in message.items() %}{% endfor %}",
            "{{ message }}",
        ] {
            assert!(Reads::of(source).key("x"), "{source}");
        }
        let arguments =
            "{{ param | tojson }}{{ arg.items() }}{{ m.content }}{{ last_message.items() }}";
        assert!(!Reads::of(arguments).key("x"));
    }

    #[test]
    fn a_key_is_read_by_attribute_or_by_text() {
        let source = "{{ m.name }}{{ m['thinking'] }}{% if \"tool_calls\" in m %}{{ enable_x }}{{ m.score_b }}";
        let reads = Reads::of(source);
        for key in ["name", "thinking", "tool_calls", "role", "content"] {
            assert!(reads.key(key), "{key}");
        }
        for key in ["x", "score", "enable_x", "m"] {
            assert!(!reads.key(key), "{key}");
        }
    }
}
