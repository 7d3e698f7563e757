use std::fmt;

/// Value of a key, its width forgotten.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Number of an unsigned type.
    Unsigned(u64),
    /// Number of a signed type.
    Signed(i64),
    /// Number of a float type; one of 32 bits as the shortest decimal that means it.
    Float(f64),
    /// Truth value.
    Flag(bool),
    /// Text.
    Text(String),
    /// Several values of one type.
    Array(Array),
}

/// Several values of one type, their width forgotten.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Whole numbers.
    Whole(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
    /// Truth values.
    Flags(Vec<bool>),
    /// Texts.
    Texts(Vec<String>),
}

impl Array {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Flags(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Whole(_) => "whole numbers",
            Self::Floats(_) => "floats",
            Self::Flags(_) => "flags",
            Self::Texts(_) => "texts",
        }
    }
}

/// Most characters of a text that a message shows.
const SHOWN_CHARS: usize = 80;

/// A name or text of a file as messages show it: bounded, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let escaped: String = text
        .chars()
        .take(SHOWN_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    match text.chars().nth(SHOWN_CHARS) {
        Some(_) => format!("{escaped}..."),
        None => escaped,
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) => write!(f, "\"{}\"", shown(text)),
            Self::Array(array) => write!(f, "{} {}", array.len(), array.name()),
        }
    }
}
