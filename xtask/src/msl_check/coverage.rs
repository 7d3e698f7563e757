//! Whether every source was compiled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FLOATS: [&str; 3] = ["float", "half", "bfloat"];

/// Line of a source with the names that are float32 in every text, as factors of a format may be.
const FLOAT32_ALONE: &str = "// float32 alone: ";

/// Lines that name a type which a text's sources leave open: `typedef half X;`.
const OPEN: &str = "typedef ";

/// Sources that no text has, and float types that none has for a name which a source leaves open.
pub fn missing(texts: &[String], sources: &[(PathBuf, String)]) -> Vec<String> {
    let of_source = |(path, source): &(PathBuf, String)| {
        let with: Vec<&str> = texts
            .iter()
            .filter(|text| text.contains(source))
            .map(String::as_str)
            .collect();
        match with.is_empty() {
            true => vec![format!(
                "no text has {}: does a test run it?",
                path.display()
            )],
            false => missing_types(&with, path, source),
        }
    };
    sources.iter().flat_map(of_source).collect()
}

/// Names that are a float type somewhere, and then have to be each of them, or float32 alone where the source says so.
fn missing_types(texts: &[&str], path: &Path, source: &str) -> Vec<String> {
    let path = path.display();
    let given = texts.iter().flat_map(|text| types(text));
    let given: BTreeSet<(&str, &str)> = given
        .filter(|(name, dtype)| FLOATS.contains(dtype) && has_word(source, name))
        .collect();
    let names: BTreeSet<&str> = given.iter().map(|(name, _)| *name).collect();
    let problem = |(name, dtype): (&str, &str)| {
        let is_alone = is_float32_alone(source, name) && dtype != FLOATS[0];
        match (is_alone, given.contains(&(name, dtype))) {
            (false, false) => Some(format!("no text has {path} with {dtype} {name}")),
            (true, true) => Some(format!("{path} with {dtype} {name}: it says float32 alone")),
            _ => None,
        }
    };
    let all = names
        .iter()
        .flat_map(|name| FLOATS.map(|dtype| (*name, dtype)));
    all.filter_map(problem).collect()
}

fn is_float32_alone(source: &str, name: &str) -> bool {
    let mut lines = source.lines();
    lines.any(|line| {
        let names = line.strip_prefix(FLOAT32_ALONE);
        names.is_some_and(|names| has_word(names, name))
    })
}

/// Names of a text's open types, and what they stand for in it.
fn types(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(OPEN));
    let pairs = lines.filter_map(|rest| rest.strip_suffix(';')?.split_once(' '));
    pairs.map(|(dtype, name)| (name, dtype))
}

fn has_word(source: &str, name: &str) -> bool {
    source
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_source_is_compiled_in_every_type_or_named() {
        let source = "kernel void k(device T* t);";
        let of = |name: &str| format!("typedef {name} T;\n{source}");
        let sources = [("k.metal".into(), source.into())];
        let all = ["float", "half", "bfloat"].map(of);
        assert_eq!(missing(&all, &sources), [""; 0]);
        assert_eq!(
            missing(&all[..2], &sources),
            ["no text has k.metal with bfloat T"]
        );
        assert_eq!(missing(&[source.into()], &sources), [""; 0]);
        assert_eq!(
            missing(&["other".into()], &sources),
            ["no text has k.metal: does a test run it?"]
        );
    }

    #[test]
    fn a_source_says_what_is_float32_alone() {
        let source = "// float32 alone: U.\nkernel void k(device T* t, device U* u);";
        let of = |t: &str, u: &str| format!("typedef {t} T;\ntypedef {u} U;\n{source}");
        let sources = [("k.metal".into(), source.into())];
        let mut texts = ["float", "half", "bfloat"].map(|t| of(t, "float"));
        assert_eq!(missing(&texts, &sources), [""; 0]);
        texts[1] = of("half", "half");
        assert_eq!(
            missing(&texts, &sources),
            ["k.metal with half U: it says float32 alone"]
        );
    }

    #[test]
    fn each_name_of_a_source_has_every_type() {
        let source = "kernel void k(device X* x, device Y* y);";
        let of = |x: &str, y: &str| format!("typedef {x} X;\ntypedef {y} Y;\n{source}");
        let sources = [("k.metal".into(), source.into())];
        let texts = [
            of("float", "uint"),
            of("half", "float"),
            of("bfloat", "half"),
        ];
        assert_eq!(
            missing(&texts, &sources),
            ["no text has k.metal with bfloat Y"]
        );
    }
}
