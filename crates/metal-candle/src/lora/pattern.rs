//! Regular expressions of adapter files: Python's `re`, which PEFT matches layer names with.

use super::Error;
use fancy_regex::{Regex, RegexBuilder};
use std::time::{Duration, Instant};

/// Steps back that one name may take. Names are some fifty characters: a pattern that needs more
/// repeats a repetition.
const BACKTRACKS: usize = 100_000;

/// Time that all patterns of an adapter may take together.
const TIME: Duration = Duration::from_secs(10);

/// A regular expression that is compared with whole names.
#[derive(Debug)]
pub(super) struct Pattern {
    what: &'static str,
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Pattern as in `re.fullmatch`; `what` names the setting in errors.
    pub(super) fn whole(what: &'static str, text: &str) -> Result<Self, Error> {
        Self::inside("", what, text)
    }

    /// Pattern of the end of a name, as PEFT reads the keys of `rank_pattern` and `alpha_pattern`.
    pub(super) fn end(what: &'static str, text: &str) -> Result<Self, Error> {
        Self::inside(r"(.*\.)?", what, text)
    }

    fn inside(before: &str, what: &'static str, text: &str) -> Result<Self, Error> {
        let failed = |error: fancy_regex::Error| wrong(what, text, &error.to_string());
        let translated = translated(text);
        // Alone first: the parentheses around it must not close one of its own.
        compile(&translated).map_err(failed)?;
        // PEFT's group of a key counts in back-references, the one of a whole pattern does not.
        let group = if before.is_empty() { "(?:" } else { "(" };
        let regex = compile(&format!("^(?:{before}{group}{translated}))$")).map_err(failed)?;
        let text = text.to_string();
        Ok(Self { what, text, regex })
    }

    /// Whether the whole of `name` matches.
    ///
    /// # Errors
    /// When the pattern tries too many ways to match.
    pub(super) fn is_match(&self, name: &str) -> Result<bool, Error> {
        let failed = |error: fancy_regex::Error| wrong(self.what, &self.text, &error.to_string());
        self.regex.is_match(name).map_err(failed)
    }

    /// Ends the matching of all patterns that began at `start` when it takes too long.
    pub(super) fn check_time(&self, start: Instant) -> Result<(), Error> {
        match start.elapsed() > TIME {
            true => Err(wrong(self.what, &self.text, "the patterns take too long")),
            false => Ok(()),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    RegexBuilder::new(pattern)
        .backtrack_limit(BACKTRACKS)
        .build()
}

fn wrong(what: &'static str, pattern: &str, reason: &str) -> Error {
    Error::Regex {
        what,
        pattern: super::error::shortened(pattern),
        reason: super::error::shortened(reason),
    }
}

/// Pattern in fancy-regex's dialect. Python has no classes in classes and no operations on them,
/// and its `\<` and `\>` are characters.
fn translated(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    // Characters since a class began; `]` as the first of them is one of its members.
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => match chars.next() {
                Some(c @ ('<' | '>')) => translated.push(c),
                Some(c) => translated.extend(['\\', c]),
                None => translated.push('\\'),
            },
            ('[' | '&' | '~', Some(_)) => translated.extend(['\\', c]),
            (']', Some(n)) if n > 0 => {
                class = None;
                translated.push(c);
                continue;
            }
            ('[', None) => {
                translated.push(c);
                class = Some(0);
                translated.extend(chars.next_if_eq(&'^'));
                continue;
            }
            _ => translated.push(c),
        }
        class = class.map(|n| n + 1);
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.k_proj",
        "model.layers.10.self_attn.q_proj",
        "model.layers.2.mlp.down_proj",
        "lm_head",
    ];

    /// Names that match whole, by `re.fullmatch(pattern, name)` of Python 3.11.
    const WHOLE: [(&str, [u8; 5]); 18] = [
        (
            r"^(?!.*(?:lm_head|vision)).*\.(q_proj|v_proj)",
            [1, 0, 1, 0, 0],
        ),
        (r".*(?<!k)(?<!o)_proj", [1, 0, 1, 1, 0]),
        (r".*layers\.(?!2).*", [1, 1, 1, 0, 0]),
        (r".*layers\.(?P<n>\d)(?P=n)?\..*", [1, 1, 0, 1, 0]),
        (
            r".*layers\.(\d)\.(self_attn|mlp)\..*(?(1)_proj|x)",
            [1, 1, 0, 1, 0],
        ),
        (r"(?i).*Q_PROJ", [1, 0, 1, 0, 0]),
        (r"(?i:LM)_head", [0, 0, 0, 0, 1]),
        (r"lm_head\Z", [0, 0, 0, 0, 1]),
        (r"lm|lm_head", [0, 0, 0, 0, 1]),
        (r"q_proj", [0, 0, 0, 0, 0]),
        (r"model\.layers\.\d{,1}\..*", [1, 1, 0, 1, 0]),
        (r"model\.layers\.\d{2}\..*", [0, 0, 1, 0, 0]),
        (r"[]lm_[head]+", [0, 0, 0, 0, 1]),
        (r"[a-z&&_]+", [0, 0, 0, 0, 1]),
        (r"[^.]*", [0, 0, 0, 0, 1]),
        (r"(?>.*\.)q\_proj", [1, 0, 1, 0, 0]),
        (r"\w+", [0, 0, 0, 0, 1]),
        (r"(?x) lm _ head", [0, 0, 0, 0, 1]),
    ];

    /// Names that match at their end, by PEFT 0.21.2's `get_pattern_key([pattern], name)`.
    const END: [(&str, [u8; 5]); 6] = [
        (r"q_proj", [1, 0, 1, 0, 0]),
        (r"(?!.*layers\.0).*q_proj", [1, 0, 1, 0, 0]),
        (r"^model.layers.0.*", [1, 1, 0, 0, 0]),
        (r"q_proj|k_proj", [1, 1, 1, 0, 0]),
        (r"proj", [0, 0, 0, 0, 0]),
        (r"layers\.\d+\.(?=mlp).*", [0, 0, 0, 1, 0]),
    ];

    #[test]
    fn patterns_match_as_pythons_do() {
        let matches =
            |pattern: &Pattern| NAMES.map(|name| u8::from(pattern.is_match(name).unwrap()));
        for (text, expected) in WHOLE {
            let pattern = Pattern::whole("target_modules", text).unwrap();
            assert_eq!(matches(&pattern), expected, "{text}");
        }
        for (text, expected) in END {
            let pattern = Pattern::end("rank_pattern", text).unwrap();
            assert_eq!(matches(&pattern), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_with_its_setting() {
        let nested = format!("{}x{}", "(".repeat(100_000), ")".repeat(100_000));
        for text in ["(", "a)(b", "[a", r"\", "(?<!a", "*", &nested] {
            let error = Pattern::whole("target_modules", text)
                .unwrap_err()
                .to_string();
            assert!(error.contains("target_modules"), "{error}");
            assert!(error.len() < 1000, "{}", error.len());
        }
    }

    #[test]
    fn endless_backtracking_is_an_error() {
        let pattern = Pattern::whole("exclude_modules", r"(?!z)(\w+\w+)+\w+(?=x)y").unwrap();
        let error = pattern.is_match(&"a".repeat(60)).unwrap_err().to_string();
        assert!(error.contains("exclude_modules"), "{error}");
    }
}
