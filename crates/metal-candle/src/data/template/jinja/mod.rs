//! Jinja2 as transformers runs it: an `ImmutableSandboxedEnvironment` with `trim_blocks`,
//! `lstrip_blocks`, loop controls, the `{% generation %}` tag and transformers' own `tojson`.
//!
//! A template comes with a model from outside, and the text it renders is what a model is trained
//! on. So two things hold here that no general engine promises: the text is Python's, byte for
//! byte, or there is an error that says what is missing; and whatever the template says, rendering
//! ends in bounded time, memory and stack ([`limits`]).

mod ast;
mod clock;
mod error;
mod filters;
mod format;
mod input;
mod lexer;
mod limits;
mod methods;
mod parser;
mod predicates;
mod render;
mod text;
mod tojson;
mod value;

use error::Result;
pub(crate) use error::{Error, Kind};
pub(crate) use input::Input;
use limits::{Budget, MAX_SOURCE_BYTES};

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    body: ast::Body,
}

impl Template {
    /// Parses `source`.
    pub(crate) fn parse(source: &str) -> Result<Self> {
        if source.len() > MAX_SOURCE_BYTES {
            let n = source.len();
            let message = format!("{n} bytes; the limit is {MAX_SOURCE_BYTES}");
            return Err(Error::syntax(1, message));
        }
        let body = parser::parse(lexer::tokens(source)?)?;
        Ok(Self { body })
    }

    /// Text of the template with the variables of `input`.
    pub(crate) fn render(&self, input: Input) -> Result<String> {
        let budget = Budget::new(input.size);
        render::render(&self.body, input.variables, budget)
    }
}
