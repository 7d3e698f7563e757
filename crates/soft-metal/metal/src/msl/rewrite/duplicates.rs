//! Functions that have become the same.

use crate::msl::lex::{Token, text};
use crate::msl::tokens::is_one_of;
use std::collections::HashSet;

/// Functions that differed only in address spaces are now the same: the first is kept.
pub fn without_duplicates(tokens: &[Token]) -> String {
    let (mut start, mut depth, mut seen, mut cpp) = (0, 0, HashSet::new(), String::new());
    for (i, token) in tokens.iter().enumerate() {
        depth += is_one_of(Some(token), &["{", "("]) as i32 - is_one_of(Some(token), &["}", ")"]) as i32;
        if depth == 0 && (is_one_of(Some(token), &[";", "}"]) || i + 1 == tokens.len()) {
            let declaration = text(&tokens[start..=i]);
            if !is_function(&declaration) || seen.insert(declaration.clone()) {
                cpp.push_str(&declaration);
            }
            start = i + 1;
        }
    }
    cpp
}

fn is_function(declaration: &str) -> bool {
    let header = declaration.find('{').map(|b| &declaration[..b]);
    header.is_some_and(|h| h.contains('(') || h.trim_start().starts_with("template"))
        && declaration.trim_end().ends_with('}')
}
