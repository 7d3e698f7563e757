//! Modules that a source file names by `crate::` and `super::`, wherever in it.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names at the root of a crate.
pub struct Imports {
    modules: BTreeSet<String>,
    /// Names that the root passes on, with the module that they are from.
    passed_on: BTreeMap<String, String>,
}

impl Imports {
    /// What the text of `lib.rs` declares and passes on.
    pub fn of_root(text: &str) -> Self {
        let tokens = without_tests(tokens(text));
        let modules = tokens.windows(2).filter(|pair| is(&pair[0], "mod"));
        let modules = modules.map(|pair| pair[1].to_string()).collect();
        let statements = tokens.split(|token| is(token, ";"));
        let uses = statements.filter_map(|tokens| {
            let i = tokens.iter().position(|token| is(token, "use"))?;
            let (first, rest) = tokens[i + 1..].split_first()?;
            Some((first.to_string(), rest.to_vec()))
        });
        let passed_on = uses.flat_map(|(module, names)| {
            let names = words(&names).into_iter();
            names.map(move |name| (name, module.clone()))
        });
        Self {
            passed_on: passed_on.collect(),
            modules,
        }
    }

    /// Pairs of the file's module and one that it imports from; `path` is below `src`.
    pub fn of_file(&self, path: &Path, text: &str) -> BTreeSet<(String, String)> {
        let mut module: Vec<String> = path
            .with_extension("")
            .iter()
            .map(|name| name.to_str().unwrap().into())
            .collect();
        module.retain(|name| !["lib", "main", "mod"].contains(&name.as_str()));
        let Some(own) = module.first().cloned() else {
            return BTreeSet::new();
        };
        if module
            .iter()
            .any(|name| name == "tests" || name == "testing")
        {
            return BTreeSet::new();
        }
        let mut names = BTreeSet::new();
        scan(&without_tests(tokens(text)), &module, &mut names);
        let modules = names.into_iter().filter_map(|name| self.module_of(name));
        modules
            .filter(|module| *module != own)
            .map(|module| (own.clone(), module))
            .collect()
    }

    /// Module of a name at the root; `None` for what is from other crates, and for items of `lib.rs` itself.
    fn module_of(&self, name: String) -> Option<String> {
        let module = self.passed_on.get(&name).unwrap_or(&name);
        self.modules.get(module).cloned()
    }
}

fn tokens(text: &str) -> Vec<TokenTree> {
    text.parse::<TokenStream>().unwrap().into_iter().collect()
}

fn is(token: &TokenTree, text: &str) -> bool {
    token.to_string() == text
}

/// `tokens` without items under `#[cfg(test)]`, at any depth that [`scan`] comes to.
fn without_tests(tokens: Vec<TokenTree>) -> Vec<TokenTree> {
    let mut kept = vec![];
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let is_test = is_group(&token, Delimiter::Bracket)
            && token.to_string().replace(' ', "").contains("cfg(test)");
        if is_test && kept.last().is_some_and(|last| is(last, "#")) {
            // To the end of the item.
            tokens.find(|token| is(token, ";") || is_group(token, Delimiter::Brace));
        } else {
            kept.push(token);
        }
    }
    kept
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

/// Adds the names at the root of the crate that `tokens`, which are in `module`, begin a path with.
fn scan(tokens: &[TokenTree], module: &[String], names: &mut BTreeSet<String>) {
    for (i, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else {
            if let Some(rest) = from_root(&tokens[i..], module, i > 0 && is(&tokens[i - 1], ":")) {
                names.extend(first_words(rest));
            }
            continue;
        };
        let inner = without_tests(group.stream().into_iter().collect());
        match &tokens[..i] {
            [.., keyword, name] if is(keyword, "mod") => {
                scan(&inner, &[module, &[name.to_string()]].concat(), names)
            }
            _ => scan(&inner, module, names),
        }
    }
}

/// Tokens behind `crate::`, or behind as many `super::` as lead from `module` to the root.
fn from_root<'a>(
    tokens: &'a [TokenTree],
    module: &[String],
    goes_on: bool,
) -> Option<&'a [TokenTree]> {
    let ends = |tokens: &'a [TokenTree]| match tokens {
        [a, b, rest @ ..] if is(a, ":") && is(b, ":") => Some(rest),
        _ => None,
    };
    let (first, mut rest) = tokens.split_first()?;
    if is(first, "crate") {
        return ends(rest);
    }
    if goes_on || !is(first, "super") {
        return None;
    }
    rest = ends(rest)?;
    for _ in 1..module.len() {
        let (first, behind) = rest.split_first()?;
        rest = is(first, "super").then(|| ends(behind))??;
    }
    Some(rest)
}

/// The first word of a path, or of each path in braces.
fn first_words(tokens: &[TokenTree]) -> Vec<String> {
    match tokens.first() {
        Some(TokenTree::Group(group)) => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            let paths = inner.split(|token| is(token, ","));
            paths.flat_map(first_words).collect()
        }
        Some(TokenTree::Ident(word)) => vec![word.to_string()],
        _ => vec![],
    }
}

/// All words, those in braces too.
fn words(tokens: &[TokenTree]) -> Vec<String> {
    let words = tokens.iter().flat_map(|token| match token {
        TokenTree::Group(group) => words(&group.stream().into_iter().collect::<Vec<_>>()),
        TokenTree::Ident(word) => vec![word.to_string()],
        _ => vec![],
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "mod a; mod b; pub mod c; #[cfg(test)] mod t; pub use b::x::{Error, Other as Y}; pub fn f() {}";

    fn of(path: &str, text: &str) -> Vec<String> {
        let found = Imports::of_root(ROOT).of_file(Path::new(path), text);
        found
            .into_iter()
            .map(|(from, to)| format!("{from} {to}"))
            .collect()
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        assert_eq!(of("a.rs", "use crate::b::B; // crate::c"), ["a b"]);
        assert_eq!(of("a.rs", "use crate::{b, c::{C, D}, f};"), ["a b", "a c"]);
        assert_eq!(
            of("a/deep.rs", "fn g() { println!(\"{}\", crate::c::C) }"),
            ["a c"]
        );
        assert_eq!(of("a/mod.rs", "use super::b;"), ["a b"]);
        assert_eq!(
            of("a/deep.rs", "use super::b; use super::super::c;"),
            ["a c"]
        );
        assert_eq!(
            of("a.rs", "mod inner { use super::super::c; use super::b; }"),
            ["a c"]
        );
    }

    #[test]
    fn names_that_the_root_passes_on_are_their_modules() {
        assert_eq!(of("a.rs", "use crate::Error;"), ["a b"]);
        assert_eq!(of("a.rs", "use crate::Y;"), ["a b"]);
        assert_eq!(of("b.rs", "use crate::{Error, f};"), [""; 0]);
    }

    #[test]
    fn tests_and_the_root_do_not_count() {
        assert_eq!(
            of("a.rs", "#[cfg(test)]\nmod tests { use crate::b; }"),
            [""; 0]
        );
        assert_eq!(
            of("a.rs", "#[cfg(test)] use crate::b; use crate::c;"),
            ["a c"]
        );
        assert_eq!(of("a/tests/one.rs", "use crate::b;"), [""; 0]);
        assert_eq!(of("lib.rs", "use crate::b;"), [""; 0]);
    }
}
