//! Syntax tree of tokens, by the grammar of Jinja2's parser.

mod arguments;
mod expression;
mod loops;
mod macros;
mod primary;
mod statement;
mod target;

use super::ast::{Body, Name, Reads};
use super::error::{Error, Result};
use super::lexer::{Kind, Token};
use super::limits::MAX_SOURCE_DEPTH;

/// Syntax tree of a whole template.
pub(super) fn parse(tokens: Vec<Token>) -> Result<Body> {
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        loops: 0,
        reads: Reads::default(),
    };
    let body = parser.body(&[])?;
    parser.expect_end()?;
    Ok(body)
}

struct Parser {
    /// Ends with [`Kind::End`].
    tokens: Vec<Token>,
    at: usize,
    /// Nesting of what is being parsed.
    depth: usize,
    /// Loops around the current statement, within its macro.
    loops: usize,
    /// What the macro being parsed has read so far.
    reads: Reads,
}

impl Parser {
    fn kind(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    fn line(&self) -> usize {
        self.tokens[self.at].line
    }

    /// The token after the current one.
    fn next_kind(&self) -> &Kind {
        let next = (self.at + 1).min(self.tokens.len() - 1);
        &self.tokens[next].kind
    }

    /// Takes the current token. The last one stays.
    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.kind(), Kind::Operator(found) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.kind(), Kind::Name(found) if &**found == name)
    }

    fn skip_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        if found {
            self.advance();
        }
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.advance();
        }
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.skip_operator(operator) {
            return Ok(());
        }
        Err(self.unexpected(&format!("'{operator}'")))
    }

    fn expect_keyword(&mut self, name: &str) -> Result<()> {
        if self.skip_name(name) {
            return Ok(());
        }
        Err(self.unexpected(&format!("'{name}'")))
    }

    fn expect(&mut self, kind: &Kind) -> Result<()> {
        if self.kind() == kind {
            self.advance();
            return Ok(());
        }
        Err(self.unexpected(&described(kind)))
    }

    fn expect_name(&mut self) -> Result<Name> {
        if let Kind::Name(name) = self.kind() {
            let name = name.clone();
            self.advance();
            return Ok(name);
        }
        Err(self.unexpected("a name"))
    }

    fn expect_end(&self) -> Result<()> {
        match self.kind() {
            Kind::End => Ok(()),
            _ => Err(self.unexpected("the end of the template")),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let got = described(self.kind());
        self.fail(format!("expected {expected}, got {got}"))
    }

    fn fail(&self, message: impl Into<String>) -> Error {
        Error::syntax(self.line(), message)
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_SOURCE_DEPTH {
            return Err(self.fail(format!("nested more than {MAX_SOURCE_DEPTH} levels deep")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }
}

fn described(kind: &Kind) -> String {
    match kind {
        Kind::Data(_) => "text".to_owned(),
        Kind::VariableBegin => "'{{'".to_owned(),
        Kind::VariableEnd => "'}}'".to_owned(),
        Kind::BlockBegin => "'{%'".to_owned(),
        Kind::BlockEnd => "'%}'".to_owned(),
        Kind::Name(name) => format!("'{name}'"),
        Kind::Str(_) => "a string".to_owned(),
        Kind::Int(_) | Kind::Digits(_) => "an integer".to_owned(),
        Kind::Float(_) => "a float".to_owned(),
        Kind::Operator(operator) => format!("'{operator}'"),
        Kind::End => "the end of the template".to_owned(),
    }
}
