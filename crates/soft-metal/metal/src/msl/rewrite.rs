//! MSL to C++, token by token. It is no parser: each pattern below is one that real kernels use, and what it does not know
//! shows as an error of the C++ compiler.
//!
//! | MSL | C++ |
//! |---|---|
//! | `device T*`, `thread T&`, `constant T&` | `T*`, `T&` |
//! | `constant T x = ..` at file scope | `const T x = ..` |
//! | `threadgroup T x[..];` in a kernel | `static T x[..]; ..`: one threadgroup runs at a time, and finds it poisoned |
//! | `constant T x [[function_constant(n)]]` | `const T x = soft_fc<T>(n)` |
//! | `[[..]]` | read, then dropped |
//! | two functions that differ only in address spaces | the first of them |
//! | a member function for another address space | the one for `thread` |
//! | `template [[host_name("n")]] [[kernel]] ..` | an entry point |
//! | `0.5h` | `half(0.5)` |
//! | `T x[n] = { [0 ... n - 1] = v }` | `T x[n]; std::fill(.., v)` |
//! | `c ? bfloat : float` | both sides through `soft::pr` |

mod address_spaces;
mod choice;
mod duplicates;
mod entries;
mod kernels;

use super::lex::Token::{self, Line, Number, Operator, Word};
use super::lex::{lex, text};
use super::params::Param;
use super::tokens::{closing, is_one_of, is_op, is_word};
use address_spaces::fresh;
use choice::{branches, plain};
use duplicates::without_duplicates;
use entries::{Host, cuda_entry_points, entry_points};
use std::collections::HashMap;

#[derive(Clone, Debug)]
pub struct Kernel {
    pub params: Vec<Param>,
    /// The entry point's name in the shared object.
    pub symbol: String,
}

/// A library as C++.
pub struct Unit {
    pub kernels: HashMap<String, Kernel>,
    /// The numbers of function constants.
    pub constants: HashMap<String, usize>,
    pub cpp: String,
    /// The file of its text in CUDA C++, where launches are written.
    pub cuda: Option<String>,
}

/// `source` is preprocessed MSL.
pub fn translate(source: &str) -> Unit {
    let tokens: Vec<Token> = lex(source).into_iter().map(without_suffix).collect();
    // Threads that never wait for each other need no stacks of their own.
    let waits = tokens.iter().any(|t| matches!(t, Word(w) if w.contains("barrier") || w.starts_with("simd")));
    let r = Rewriter { tokens: &tokens, ..Rewriter::default() }.run();
    let mut cpp = String::from("#include \"msl.h\"\n");
    cpp.push_str(&without_duplicates(&r.out));
    let kernels = entry_points(&mut cpp, r.hosts, &r.definitions, waits);
    Unit { kernels, constants: r.constants, cpp, cuda: None }
}

/// `source` for an NVIDIA GPU, in CUDA C++ over `crates/soft-metal/replay/metal.cuh`: threadgroup memory is shared there.
pub fn cuda(source: &str) -> String {
    let tokens: Vec<Token> = lex(source).into_iter().map(without_suffix).map(unrolled).collect();
    let r = Rewriter { tokens: &tokens, cuda: true, ..Rewriter::default() }.run();
    let mut cpp = String::from("#include \"metal.cuh\"\n");
    cpp.push_str(&without_duplicates(&r.out));
    cuda_entry_points(&mut cpp, r.hosts, &r.definitions);
    cpp
}

/// `0.5h` is no literal of C++.
fn without_suffix(token: Token) -> Token {
    let Number(n) = &token else { return token };
    let Some(value) = n.strip_suffix(['h', 'H']).filter(|n| !n.starts_with("0x")) else { return token };
    Word(if value.contains('.') { format!("half({value})") } else { format!("half({value}.)") })
}

/// NVIDIA's compiler has another word for it.
fn unrolled(token: Token) -> Token {
    match token {
        Line(line) if line.contains("clang loop unroll(full)") => Line("#pragma unroll".into()),
        other => other,
    }
}

#[derive(Default)]
struct Rewriter<'a> {
    tokens: &'a [Token],
    /// For [`cuda`].
    cuda: bool,
    i: usize,
    out: Vec<Token>,
    depth: i32,
    /// The declaration in hand has a template header.
    template: bool,
    /// Where a declaration of threadgroup memory ends, and what it declares.
    threadgroup_memory: Option<(usize, Vec<String>)>,
    hosts: Vec<Host>,
    definitions: HashMap<String, Vec<Param>>,
    constants: HashMap<String, usize>,
}

impl Rewriter<'_> {
    fn run(mut self) -> Self {
        while self.i < self.tokens.len() {
            self.step();
        }
        self
    }

    fn at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.i + ahead)
    }

    fn step(&mut self) {
        let handled = match &self.tokens[self.i] {
            Word(w) => self.word(&w.clone()),
            Operator(o) if o == "[[" => self.attribute(),
            Operator(o) if o == "?" && self.depth > 0 => self.choice(),
            Operator(o) if o == "{" && is_op(self.at(1), "[") => self.filled_array(),
            Operator(o) => self.bracket(&o.clone()),
            _ => false,
        };
        if !handled {
            self.out.push(self.tokens[self.i].clone());
            if let Some((_, names)) = self.threadgroup_memory.take_if(|(end, _)| *end == self.i) {
                self.out.extend(names.iter().flat_map(|name| fresh(name)));
            }
            self.i += 1;
        }
    }

    fn word(&mut self, word: &str) -> bool {
        match word {
            "template" if is_op(self.at(1), "[[") => self.instantiation(),
            "template" => {
                self.template = true;
                false
            }
            "kernel" if is_word(self.at(1), "void") => {
                self.definition(self.i + 1);
                self.skip()
            }
            "threadgroup" | "device" | "constant" if self.other_address_space() => self.drop_member(),
            "device" | "thread" => self.skip(),
            "constant" => self.constant(),
            "threadgroup" => self.threadgroup(),
            _ => false,
        }
    }

    fn skip(&mut self) -> bool {
        self.i += 1;
        true
    }

    /// `T x[n] = { [0 ... n - 1] = v };`
    fn filled_array(&mut self) -> bool {
        let end = closing(self.tokens, self.i);
        let body = &self.tokens[self.i + 1..end];
        let open = self.out.iter().rposition(|t| is_op(Some(t), "["));
        let (Some(equals), Some(Word(name))) = (
            body.iter().position(|t| is_op(Some(t), "=")),
            open.and_then(|o| self.out.get(o.wrapping_sub(1))).cloned(),
        ) else {
            return self.bracket("{");
        };
        if !is_op(self.out.last(), "=") || !body[..equals].iter().any(|t| is_op(Some(t), "...")) {
            return self.bracket("{");
        }
        self.out.pop();
        let value = text(&body[equals + 1..]);
        self.out.push(Word(format!("; std::fill(std::begin({name}), std::end({name}), {})", value.trim())));
        self.i = end + 1;
        true
    }

    fn bracket(&mut self, operator: &str) -> bool {
        match operator {
            "{" => self.depth += 1,
            "}" => self.depth -= 1,
            _ => {}
        }
        if self.depth == 0 && matches!(operator, "}" | ";") {
            self.template = false;
        }
        false
    }

    fn start_of_declaration(&self, ends: &[&str]) -> usize {
        self.out.iter().rposition(|t| is_one_of(Some(t), ends) || matches!(t, Line(_))).map_or(0, |p| p + 1)
    }

    /// bfloat is a class here, so that `c ? bfloat : float` would be ambiguous.
    fn choice(&mut self) -> bool {
        let Some((colon, end)) = branches(self.tokens, self.i + 1) else { return false };
        let (yes, no) = (&self.tokens[self.i + 1..colon], &self.tokens[colon + 1..end]);
        if !(plain(yes) && plain(no)) {
            return false;
        }
        for (operator, side) in [("?", yes), (":", no)] {
            self.out.extend([Operator(operator.into()), Word("soft::pr".into()), Operator("(".into())]);
            self.out.extend_from_slice(side);
            self.out.push(Operator(")".into()));
        }
        self.i = end;
        true
    }
}

#[cfg(test)]
mod tests;
