//! Which keys a chat template reads, as far as its source shows.

/// The source of a template.
pub(super) struct Reads<'a> {
    source: &'a str,
    reads_all: bool,
}

/// Ways to print a whole message, blanks left out.
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
        let dense: String = source.chars().filter(|c| !c.is_whitespace()).collect();
        let dense = dense.replace("{{-", "{{").replace("-}}", "}}");
        Self {
            source,
            reads_all: WHOLE.iter().any(|way| dense.contains(way)),
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
