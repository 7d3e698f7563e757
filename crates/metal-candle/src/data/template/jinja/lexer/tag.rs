//! Tokens inside of a tag.

use super::super::limits::MAX_SOURCE_DEPTH;
use super::literal::{number_length, unescaped};
use super::{Error, Kind, Lexer, Result};

/// Operators, the longer ones first.
const OPERATORS: [&str; 26] = [
    "**", "//", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    "=", ">", "<", ".", ":", "|", ",", ";",
];

impl Lexer<'_> {
    /// Tokens from `begin` to the end of the tag. Inside of brackets the tag does not end.
    pub(super) fn tag(&mut self, begin: Kind) -> Result<()> {
        let (end, end_kind) = match begin {
            Kind::BlockBegin => ("%}", Kind::BlockEnd),
            _ => ("}}", Kind::VariableEnd),
        };
        self.push(begin);
        let mut open: Vec<&str> = Vec::new();
        loop {
            self.take_spaces();
            if open.is_empty() && self.tag_ends(end) {
                self.push(end_kind);
                return Ok(());
            }
            if self.rest.is_empty() {
                return Ok(());
            }
            self.token(&mut open)?;
        }
    }

    fn tag_ends(&mut self, end: &str) -> bool {
        let block = end == "%}";
        let sign = self.rest.chars().next();
        let sign = sign.filter(|c| *c == '-' || (block && *c == '+'));
        let Some(rest) = self.rest[usize::from(sign.is_some())..].strip_prefix(end) else {
            return false;
        };
        self.rest = rest;
        self.after_end(sign, block);
        true
    }

    fn token(&mut self, open: &mut Vec<&'static str>) -> Result<()> {
        let after_dot =
            matches!(self.tokens.last(), Some(token) if token.kind == Kind::Operator("."));
        if let Some((length, is_float)) = number_length(self.rest, after_dot) {
            return self.number(length, is_float);
        }
        let length = word_length(self.rest);
        if length > 0 {
            return self.name(length);
        }
        if self.rest.starts_with(['\'', '"']) {
            return self.string();
        }
        self.operator(open)
    }

    fn number(&mut self, length: usize, is_float: bool) -> Result<()> {
        let digits = self.take(length).replace('_', "");
        let kind = if is_float {
            Kind::Float(digits.parse().unwrap_or(f64::NAN))
        } else {
            integer(&digits)
                .ok_or_else(|| Error::syntax(self.line, format!("{digits}: integer too large")))?
        };
        self.push(kind);
        Ok(())
    }

    fn name(&mut self, length: usize) -> Result<()> {
        let name = self.take(length);
        if !name.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
            let message = "Invalid character in identifier";
            return Err(Error::syntax(self.line, message));
        }
        self.push(Kind::Name(name.into()));
        Ok(())
    }

    fn string(&mut self) -> Result<()> {
        let quote = self.rest.as_bytes()[0];
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while at < bytes.len() && bytes[at] != quote {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        if at >= bytes.len() {
            return Err(Error::syntax(self.line, "a string is not closed"));
        }
        let literal = self.take(at + 1);
        let text = unescaped(&literal[1..at], self.line)?;
        self.push(Kind::Str(text));
        self.line += super::newlines(literal);
        Ok(())
    }

    fn operator(&mut self, open: &mut Vec<&'static str>) -> Result<()> {
        let found = OPERATORS.into_iter().find(|op| self.rest.starts_with(op));
        let Some(operator) = found else {
            let c = self.rest.chars().next().unwrap_or_default();
            return Err(Error::syntax(self.line, format!("unexpected char {c:?}")));
        };
        match operator {
            "(" => open.push(")"),
            "[" => open.push("]"),
            "{" => open.push("}"),
            ")" | "]" | "}" if open.pop() != Some(operator) => {
                return Err(Error::syntax(self.line, format!("unexpected '{operator}'")));
            }
            _ => {}
        }
        if open.len() > MAX_SOURCE_DEPTH {
            let message = format!("nested more than {MAX_SOURCE_DEPTH} levels deep");
            return Err(Error::syntax(self.line, message));
        }
        self.take(operator.len());
        self.push(Kind::Operator(operator));
        Ok(())
    }
}

fn word_length(text: &str) -> usize {
    let is_word = |c: char| c == '_' || c.is_alphanumeric();
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Value of digits in one of Python's bases; `None` beyond 128 bits in a base other than ten.
fn integer(digits: &str) -> Option<Kind> {
    let lower = digits.to_ascii_lowercase();
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i128::from_str_radix(digits, base).ok().map(Kind::Int);
        }
    }
    let parsed = digits.parse().map(Kind::Int);
    Some(parsed.unwrap_or_else(|_| Kind::Digits(digits.to_owned())))
}
