//! Words of mlx-lm's command lines that clap would read in another way.

use std::ffi::{OsStr, OsString};

/// Name under which `--verbose VALUE` of `mlx_lm.generate` goes on: `--verbose` alone is our own.
pub(super) const VERBOSE: &str = "mlx-verbose";

/// Option that mlx-lm gives several values at once.
const END: &str = "--extra-eos-token";

/// Values of its `--verbose`, in small letters.
const SWITCHES: [&str; 4] = ["true", "t", "false", "f"];

/// `words` of a command line, the program first, in words that our parser takes.
pub fn translated(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let command = words
        .iter()
        .skip(1)
        .position(|word| !begins_with_dash(word));
    // What stands before a command is ours.
    let own = words.split_off(command.map_or(words.len(), |before| 1 + before));
    words.extend(match own.first().and_then(|word| word.to_str()) {
        Some("generate") => of_generate(own),
        Some("convert") => of_convert(own),
        _ => own,
    });
    words
}

/// Words of `mlx_lm.convert`, whose `-q` packs; beside our `--save-path`, which it does not have, it is our own `-q`.
fn of_convert(words: Vec<OsString>) -> Vec<OsString> {
    let is_save_path = |word: &OsString| word.to_string_lossy().starts_with("--save-path");
    match words.iter().any(is_save_path) {
        true => words,
        false => words.into_iter().flat_map(unpacked_letters).collect(),
    }
}

/// Words that `-q`, alone or among other letters (`-qd`), stands for.
fn unpacked_letters(word: OsString) -> Vec<OsString> {
    let letters = word.to_str().and_then(|word| word.strip_prefix('-'));
    let switches = letters.filter(|all| all.chars().all(|letter| "dqv".contains(letter)));
    let Some(switches) = switches.filter(|letters| letters.contains('q')) else {
        return vec![word];
    };
    let spelled = switches.chars().map(|letter| match letter {
        'q' => "--quantize".into(),
        letter => format!("-{letter}").into(),
    });
    spelled.collect()
}

/// Words of `mlx_lm.generate`, whose `--extra-eos-token` takes several tokens, and `--verbose` a value.
fn of_generate(words: Vec<OsString>) -> Vec<OsString> {
    let mut words = words.into_iter().peekable();
    let mut translated = vec![];
    while let Some(word) = words.next() {
        if word == END {
            translated.extend([word].into_iter().chain(words.next()));
            while let Some(token) = words.next_if(|next| !begins_with_dash(next)) {
                translated.extend([OsString::from(END), token]);
            }
            continue;
        }
        let value = match word.to_str() {
            Some("--verbose") => words.next_if(|next| is_switch(&next.to_string_lossy())),
            Some(word) => word
                .strip_prefix("--verbose=")
                .filter(|value| is_switch(value))
                .map(OsString::from),
            None => None,
        };
        translated.push(match value {
            Some(value) => [OsString::from(format!("--{VERBOSE}=")), value]
                .into_iter()
                .collect(),
            None if word == "-qa" => "--quantize-activations".into(),
            None => word,
        });
    }
    translated
}

fn begins_with_dash(word: &OsStr) -> bool {
    word.as_encoded_bytes().first() == Some(&b'-')
}

fn is_switch(value: &str) -> bool {
    SWITCHES.contains(&value.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_verbose_is_told_from_our_switch() {
        let cases = [
            (
                "m generate --verbose False -p x",
                "m generate --mlx-verbose=False -p x",
            ),
            (
                "m generate --verbose=T -p x",
                "m generate --mlx-verbose=T -p x",
            ),
            ("m generate --verbose -p x", "m generate --verbose -p x"),
            ("m convert --model x -q", "m convert --model x --quantize"),
            ("m convert --save-path x -q", "m convert --save-path x -q"),
            (
                "m -q convert --model q -q",
                "m -q convert --model q --quantize",
            ),
            (
                "m convert -dqv -v --q-bits 8",
                "m convert -d --quantize -v -v --q-bits 8",
            ),
            ("m -q", "m -q"),
            (
                "m generate --extra-eos-token a b -p x",
                "m generate --extra-eos-token a --extra-eos-token b -p x",
            ),
            (
                "m generate --extra-eos-token --a -p x",
                "m generate --extra-eos-token --a -p x",
            ),
            ("m generate -qa", "m generate --quantize-activations"),
            ("m train --verbose true", "m train --verbose true"),
        ];
        for (words, expected) in cases {
            let words = translated(words.split(' ').map(OsString::from));
            assert_eq!(words.join(" ".as_ref()), expected);
        }
    }
}
