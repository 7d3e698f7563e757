//! Values that begin with a dash: `--learning-rate -1` is a wrong learning rate, and `--stop "- no"` a text, where clap
//! would look for an option of that name.

use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};

/// `words` of a command line, with `=` between an option that needs a value and one that begins with a dash. What has
/// the form of an option stays one: a value that was forgotten is told.
pub fn joined(words: impl IntoIterator<Item = OsString>, mut command: Command) -> Vec<OsString> {
    command.build();
    let mut command = &command;
    let mut words = words.into_iter().peekable();
    let mut joined = vec![];
    while let Some(mut word) = words.next() {
        command = subcommand(command, &word).unwrap_or(command);
        let needs_value = option(command, &word).is_some_and(needs_value);
        let value = words.next_if(|next| needs_value && !is_option(command, next));
        match value {
            Some(value) if begins_with_dash(&value) => {
                word.push("=");
                word.push(value);
                joined.push(word);
            }
            value => joined.extend([word].into_iter().chain(value)),
        }
    }
    joined
}

fn subcommand<'a>(command: &'a Command, word: &OsStr) -> Option<&'a Command> {
    command.find_subcommand(word)
}

/// The option that `word` names, and nothing but names.
fn option<'a>(command: &'a Command, word: &OsStr) -> Option<&'a Arg> {
    let word = word.to_str()?;
    let is_named = |arg: &&Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => word.strip_prefix('-').is_some_and(|short| {
            let mut letters = short.chars();
            letters.next() == arg.get_short()
                && arg.get_short().is_some()
                && letters.next().is_none()
        }),
    };
    command.get_arguments().find(is_named)
}

fn needs_value(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|range| range.min_values() > 0)
}

fn begins_with_dash(word: &OsStr) -> bool {
    word.as_encoded_bytes().first() == Some(&b'-')
}

/// Whether `word` is written as an option: `--word`, known or not, or known letters.
fn is_option(command: &Command, word: &OsStr) -> bool {
    let Some(word) = word.to_str() else {
        return false;
    };
    match (word.strip_prefix("--"), word.strip_prefix('-')) {
        (Some(""), _) => true,
        (Some(long), _) => is_long(long),
        (None, Some(letters)) => are_shorts(command, letters),
        (None, None) => false,
    }
}

fn is_long(word: &str) -> bool {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_part)
}

/// Flags, or one option with its value behind.
fn are_shorts(command: &Command, letters: &str) -> bool {
    let named = |letter: char| {
        let mut arguments = command.get_arguments();
        arguments.find(|arg| arg.get_short() == Some(letter))
    };
    let is_first_known = letters
        .chars()
        .next()
        .and_then(named)
        .is_some_and(needs_value);
    let are_flags = letters
        .chars()
        .all(|letter| named(letter).is_some_and(|arg| !needs_value(arg)));
    is_first_known || (are_flags && !letters.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ArgAction;

    /// What follows an option whose value may be left out is not taken for its value.
    #[test]
    fn an_optional_value_is_not_joined() {
        let verbose = Arg::new("verbose").short('v').action(ArgAction::Count);
        let record = Arg::new("record").long("record").num_args(0..=1);
        let command = Command::new("m").args([verbose, record]);
        let words = ["m", "--record", "-v"].map(OsString::from);
        assert_eq!(joined(words.clone(), command), words);
    }
}
