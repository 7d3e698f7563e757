//! Address spaces, of which C++ has one.

use super::Rewriter;
use crate::msl::lex::Token::{self, Line, Word};
use crate::msl::lex::lex;
use crate::msl::tokens::{closing, is_one_of, is_op, is_word, split_commas};

impl Rewriter<'_> {
    /// `T f(..) threadgroup {`, `T f(..) device = default;`
    pub(super) fn other_address_space(&self) -> bool {
        is_op(self.out.last(), ")") && is_one_of(self.at(1), &["=", ":", "{"])
    }

    pub(super) fn drop_member(&mut self) -> bool {
        self.out.truncate(self.start_of_declaration(&[";", "}", "{", ":"]));
        while !is_one_of(self.at(0), &[";", "{"]) && self.at(0).is_some() {
            self.i += 1;
        }
        if is_op(self.at(0), "{") {
            self.i = closing(self.tokens, self.i);
        }
        self.skip()
    }

    pub(super) fn constant(&mut self) -> bool {
        let last = self.out.last();
        let starts = last.is_none() || is_one_of(last, &[";", "}"]) || matches!(last, Some(Line(_)));
        let constant_already = is_word(self.at(1), "const") || is_word(self.at(1), "constexpr");
        if self.depth == 0 && (starts || is_word(last, "static")) && !constant_already {
            self.out.push(Word("const".into()));
        }
        self.skip()
    }

    pub(super) fn threadgroup(&mut self) -> bool {
        let last = self.out.last();
        let starts = is_one_of(last, &[";", "{", "}"]) || matches!(last, Some(Line(_)));
        let rest = &self.tokens[self.i..];
        let end = rest.iter().position(|t| is_op(Some(t), ";")).unwrap_or(rest.len());
        let declared = rest[..end].iter().position(|t| is_one_of(Some(t), &["=", "["])).unwrap_or(end);
        let pointer = rest[..declared].iter().any(|t| is_one_of(Some(t), &["*", "("]));
        if self.depth > 0 && starts && !pointer && self.cuda {
            self.out.push(Word("__shared__".into()));
        } else if self.depth > 0 && starts && !pointer {
            self.out.push(Word("static".into()));
            self.threadgroup_memory = Some((self.i + end, declared_names(&rest[1..end])));
        }
        self.skip()
    }
}

/// The names in `T a[n], b`.
fn declared_names(declaration: &[Token]) -> Vec<String> {
    let name = |part: &[Token]| {
        let end = part.iter().position(|t| is_one_of(Some(t), &["=", "["])).unwrap_or(part.len());
        part[..end].iter().rev().find_map(|t| if let Word(w) = t { Some(w.clone()) } else { None })
    };
    split_commas(declaration).into_iter().filter_map(name).collect()
}

/// A statement that poisons threadgroup memory, once for each threadgroup.
pub(super) fn fresh(name: &str) -> Vec<Token> {
    lex(&format!("{{ static uint64_t group; soft::fresh(group, &{name}, sizeof {name}); }}"))
}
