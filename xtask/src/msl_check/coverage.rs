//! Whether every source was compiled.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FLOATS: [&str; 3] = ["float", "half", "bfloat"];

/// Names that are float32 in every file of a format, by the end of its source's path.
const FIXED: [(&str, &str); 4] = [
    ("bnb_4bit.metal", "PART_1"),
    ("bnb_4bit.metal", "PART_2"),
    ("bnb_int8.metal", "PART_1"),
    ("fp8.metal", "PART_1"),
];

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

/// Names that are a float type somewhere, and then have to be each of them.
fn missing_types(texts: &[&str], path: &Path, source: &str) -> Vec<String> {
    let given: BTreeSet<(&str, &str)> = texts.iter().flat_map(|text| types(text)).collect();
    let names: BTreeSet<&str> = given
        .iter()
        .filter(|(name, dtype)| FLOATS.contains(dtype) && has_word(source, name))
        .filter(|(name, _)| {
            !FIXED
                .iter()
                .any(|(end, fixed)| path.ends_with(end) && fixed == name)
        })
        .map(|(name, _)| *name)
        .collect();
    let all = names
        .iter()
        .flat_map(|name| FLOATS.map(|dtype| (*name, dtype)));
    all.filter(|pair| !given.contains(pair))
        .map(|(name, dtype)| format!("no text has {} with {dtype} {name}", path.display()))
        .collect()
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
