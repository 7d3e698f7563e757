//! Errors of a template.

use std::fmt;

/// Result of everything in this engine.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Failure of a template, boxed to keep results small.
#[derive(Debug)]
pub(crate) struct Error(Box<Failure>);

#[derive(Debug)]
struct Failure {
    kind: Kind,
    message: String,
    /// Line of the source, from 1; 0 where it is not known yet.
    line: usize,
}

/// Party that refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The source is no template.
    Syntax,
    /// The template refuses the conversation (`raise_exception`).
    Raised,
    /// Rendering fails, as in Python, at a limit, or at something this engine lacks.
    Render,
}

impl Error {
    fn new(kind: Kind, message: String, line: usize) -> Self {
        Self(Box::new(Failure {
            kind,
            message,
            line,
        }))
    }

    pub(super) fn syntax(line: usize, message: impl Into<String>) -> Self {
        Self::new(Kind::Syntax, message.into(), line)
    }

    pub(super) fn raised(message: String) -> Self {
        Self::new(Kind::Raised, message, 0)
    }

    /// What Python refuses too.
    pub(super) fn render(message: impl Into<String>) -> Self {
        Self::new(Kind::Render, message.into(), 0)
    }

    /// What Python does and this engine does not: never another text in its place.
    pub(super) fn unsupported(what: impl fmt::Display) -> Self {
        Self::render(format!("{what} is not supported"))
    }

    /// Adds the line, if none is known yet.
    pub(super) fn at(mut self, line: usize) -> Self {
        if self.0.line == 0 {
            self.0.line = line;
        }
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The template's own words, without a line.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (in chat_template:{})", self.0.message, self.0.line)
    }
}

impl std::error::Error for Error {}
