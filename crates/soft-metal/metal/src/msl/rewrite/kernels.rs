//! What the host asks for by name: kernels, their instantiations, and function constants.

use super::{Host, Rewriter};
use crate::msl::lex::Token::{self, Number, Operator, Text, Word};
use crate::msl::lex::text;
use crate::msl::params::params;
use crate::msl::tokens::{closing, is_op, is_word};

impl Rewriter<'_> {
    /// `template [[host_name("n")]] [[kernel]] decltype(f<..>) f<..>;` or `.. void f<..>(..);`
    pub(super) fn instantiation(&mut self) -> bool {
        let end = (self.i..self.tokens.len()).find(|&j| is_op(self.tokens.get(j), ";")).unwrap_or(self.tokens.len());
        let statement = &self.tokens[self.i + 1..end];
        let (mut j, mut name) = (0, None);
        while is_op(statement.get(j), "[[") {
            let close = closing(statement, j);
            if is_word(statement.get(j + 1), "host_name") {
                name = Some(quoted(&statement[j..close]));
            }
            j = close + 1;
        }
        j += is_word(statement.get(j), "kernel") as usize;
        j = if is_word(statement.get(j), "decltype") { closing(statement, j + 1) + 1 } else { j + 1 };
        let (mut last, mut own) = (statement.len(), None);
        if is_op(statement.last(), ")")
            && let Some(open) = (j..last).find(|&k| is_op(statement.get(k), "(") && closing(statement, k) == last - 1)
        {
            own = Some(params(&statement[open + 1..last - 1]));
            last = open;
        }
        if let (Some(name), Some(Word(base))) = (name, statement.get(j)) {
            self.hosts.push(Host { name, expression: text(&statement[j..last]), base: base.clone(), own });
        }
        self.i = end + 1;
        true
    }

    /// `void name(params)` at `start`, which the word or the attribute `kernel` stands before.
    pub(super) fn definition(&mut self, mut start: usize) {
        let t = self.tokens;
        while is_op(t.get(start), "[[") {
            start = closing(t, start) + 1;
        }
        let (true, Some(Word(name)), true) =
            (is_word(t.get(start), "void"), t.get(start + 1), is_op(t.get(start + 2), "("))
        else {
            return;
        };
        if !self.template {
            self.hosts.push(Host { name: name.clone(), expression: name.clone(), base: name.clone(), own: None });
        }
        self.definitions.insert(name.clone(), params(&t[start + 3..closing(t, start + 2)]));
    }

    pub(super) fn attribute(&mut self) -> bool {
        let end = closing(self.tokens, self.i);
        if is_word(self.at(1), "kernel") {
            self.definition(end + 1);
        }
        if self.depth == 0 && is_word(self.at(1), "function_constant") && is_op(self.tokens.get(end + 1), ";") {
            self.function_constant();
        }
        self.i = end + 1;
        true
    }

    /// `constant T name [[function_constant(n)]];`: its type is what was written since the last declaration.
    pub(super) fn function_constant(&mut self) {
        let Some(Number(n)) = self.at(3).cloned() else { return };
        if let (Some(Word(name)), Ok(number)) = (self.out.last(), n.parse()) {
            self.constants.insert(name.clone(), number);
        }
        let start = self.start_of_declaration(&[";", "}"]);
        let kind = text(&self.out[start + 1..self.out.len() - 1]);
        self.out.extend([Operator("=".into()), Word(format!("soft_fc<{}>({n})", kind.trim()))]);
    }
}

/// The text of all string literals, joined, without quotes.
fn quoted(tokens: &[Token]) -> String {
    let texts = tokens.iter().filter_map(|t| if let Text(s) = t { Some(s.trim_matches('"')) } else { None });
    texts.collect()
}
