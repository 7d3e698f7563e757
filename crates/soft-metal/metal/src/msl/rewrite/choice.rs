//! The two sides of a conditional expression.

use crate::msl::lex::Token::{self, Operator, Text, Word};
use crate::msl::tokens::{is_one_of, is_word};

/// The colon and the end of the conditional whose `?` stands before `start`; none for nested ones.
pub fn branches(tokens: &[Token], start: usize) -> Option<(usize, usize)> {
    let (mut depth, mut colon) = (0, None);
    for (i, token) in tokens.iter().enumerate().skip(start) {
        let Operator(o) = token else { continue };
        match o.as_str() {
            "(" | "[" => depth += 1,
            ")" | "]" if depth > 0 => depth -= 1,
            ":" if depth == 0 && colon.is_none() => colon = Some(i),
            "?" if depth == 0 => return None,
            ")" | "]" | "," | ";" | "{" | "}" | ":" if depth == 0 => return colon.map(|c| (c, i)),
            _ => {}
        }
    }
    colon.map(|c| (c, tokens.len()))
}

/// An expression that can be wrapped in a call as it stands.
pub fn plain(tokens: &[Token]) -> bool {
    const SPACES: &[&str] = &["device", "constant", "threadgroup", "template"];
    let casts = tokens.iter().any(|t| is_word(Some(t), "static_cast"));
    let odd = |t: &Token| match t {
        Word(w) => SPACES.contains(&w.as_str()),
        Text(_) => true,
        t => is_one_of(Some(t), &["<", ">", "{", "[["]),
    };
    casts || !tokens.iter().any(odd)
}
