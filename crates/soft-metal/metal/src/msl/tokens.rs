//! Small questions about tokens.

use super::lex::Token::{self, Operator, Word};

pub fn is_op(token: Option<&Token>, operator: &str) -> bool {
    matches!(token, Some(Operator(o)) if o == operator)
}

pub fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Word(w)) if w == word)
}

pub fn is_one_of(token: Option<&Token>, operators: &[&str]) -> bool {
    matches!(token, Some(Operator(o)) if operators.contains(&o.as_str()))
}

/// How deep brackets are after this token, in relation to before; `<` and `>` only count where asked for.
pub fn nesting(token: &Token, angles: bool) -> i32 {
    let Operator(o) = token else { return 0 };
    match o.as_str() {
        "(" | "{" | "[" => 1,
        ")" | "}" | "]" => -1,
        "[[" => 2,
        "]]" => -2,
        "<" if angles => 1,
        ">" if angles => -1,
        _ => 0,
    }
}

/// Index of the bracket that closes the one at `start`; the end if none does.
pub fn closing(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        depth += nesting(token, false);
        if depth == 0 {
            return i;
        }
    }
    tokens.len()
}

/// Splits at commas that no bracket encloses.
pub fn split_commas(tokens: &[Token]) -> Vec<&[Token]> {
    let (mut parts, mut start, mut depth) = (vec![], 0, 0);
    for (i, token) in tokens.iter().enumerate() {
        depth += nesting(token, true);
        if depth == 0 && is_op(Some(token), ",") {
            parts.push(&tokens[start..i]);
            start = i + 1;
        }
    }
    if start < tokens.len() {
        parts.push(&tokens[start..]);
    }
    parts
}
