//! Doc comments, of which each begins with the noun that it is about.

use std::path::Path;

/// Openings that leave open what is meant.
const OPENINGS: [&str; 9] = [
    "The same", "That", "Those", "Of", "As", "By", "On", "Who", "It",
];

/// Openings of a sentence about what a type is for, instead of what it is.
const QUESTIONS: [&str; 7] = ["What", "How", "Where", "Which", "Why", "Whether", "Who"];

/// Words that make the item below a comment a type.
const TYPES: [&str; 4] = ["struct", "enum", "trait", "type"];

/// Comments of a file that begin otherwise, each as `path:line: opening`.
pub fn faults(path: &Path, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut faults = vec![];
    for (i, line) in lines.iter().enumerate() {
        let is_first = i == 0 || marker(lines[i - 1]) != marker(line);
        let Some(marker) = marker(line).filter(|_| is_first) else {
            continue;
        };
        let comment = line[marker.len()..].trim_start();
        let is_of_type = marker == "//!" || is_type(&lines[i..]);
        let questions = QUESTIONS.iter().filter(|_| is_of_type);
        let opening = OPENINGS
            .iter()
            .chain(questions)
            .find(|o| begins(comment, o));
        faults.extend(opening.map(|o| format!("{}:{}: {o} ...", path.display(), i + 1)));
    }
    faults
}

/// The marker of a line of a doc comment.
fn marker(line: &str) -> Option<&'static str> {
    let is_separator = line.starts_with("////");
    let mut markers = ["///", "//!"].into_iter();
    markers.find(|marker| line.starts_with(marker) && !is_separator)
}

/// Whether the item below a comment is a type.
fn is_type(lines: &[&str]) -> bool {
    let mut below = lines.iter();
    let item = below.find(|line| !line.starts_with("///") && !line.starts_with("#["));
    let mut words = item.into_iter().flat_map(|line| line.split_whitespace());
    words
        .find(|word| !word.starts_with("pub") && !word.starts_with("crate") && !word.ends_with(')'))
        .is_some_and(|word| TYPES.contains(&word))
}

/// Whether a comment begins with these words, not only with their letters.
fn begins(comment: &str, opening: &str) -> bool {
    comment
        .strip_prefix(opening)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '\''))
}

#[test]
fn openings_are_seen_on_the_first_line_of_a_comment_only() {
    let faults = |text| faults(Path::new("a.rs"), text);
    assert_eq!(faults("/// The same memory."), ["a.rs:1: The same ..."]);
    assert_eq!(faults("fn a() {}\n    /// Of a row."), ["a.rs:2: Of ..."]);
    assert_eq!(faults("//! What it does."), ["a.rs:1: What ..."]);
    let on_a_type =
        "/// How it is made.\n/// And so on.\n#[derive(Debug)]\npub(in crate::a) enum A {}";
    assert_eq!(faults(on_a_type), ["a.rs:1: How ..."]);
    assert!(faults("/// A row.\n///\n/// Of a matrix.\nfn a() {}").is_empty());
    assert!(faults("/// How many there are.\npub fn a() {}").is_empty());
    assert!(faults("/// Offset of a row.\nstruct A;").is_empty());
}
