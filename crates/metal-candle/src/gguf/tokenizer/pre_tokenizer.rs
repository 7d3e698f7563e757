//! Words into which byte-level tokenizers cut a text, by the names that llama.cpp gives them.

use serde_json::{Value, json};

/// GPT-4's pattern, with at most three digits together.
const GPT4: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// GPT-4's pattern, with every digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words of small letters behind capitals, with every digit alone.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Words of small letters behind capitals with what English puts behind an apostrophe, and at most three digits.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way to cut a text into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreTokenizer {
    /// Names of llama.cpp; the first one is written.
    pub names: &'static [&'static str],
    cut: Cut,
    /// A word that is a token is not merged from its parts.
    pub ignore_merges: bool,
    /// A text begins with a token, where a file does not say.
    pub adds_bos: bool,
    /// A text is normalized, each character in one code point.
    pub composes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// GPT-2's own pattern.
    Gpt2,
    /// GPT-2's pattern behind every digit alone.
    Digits,
    /// A pattern.
    Pattern(&'static str),
}

const PLAIN: PreTokenizer = PreTokenizer {
    names: &[],
    cut: Cut::Gpt2,
    ignore_merges: false,
    adds_bos: false,
    composes: false,
};

const ALL: [PreTokenizer; 7] = [
    PreTokenizer {
        names: &[
            "gpt-2", "olmo", "phi-2", "mpt", "jais", "trillion", "exaone",
        ],
        ..PLAIN
    },
    PreTokenizer {
        names: &["smollm", "refact", "starcoder", "codeshell", "command-r"],
        cut: Cut::Digits,
        ..PLAIN
    },
    PreTokenizer {
        names: &["qwen2", "deepseek-r1-qwen", "megrez", "kormo"],
        cut: Cut::Pattern(QWEN2),
        composes: true,
        ..PLAIN
    },
    PreTokenizer {
        names: &[
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "pixtral",
            "midm-2.0",
        ],
        cut: Cut::Pattern(GPT4),
        ignore_merges: true,
        adds_bos: true,
        ..PLAIN
    },
    PreTokenizer {
        names: &["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"],
        cut: Cut::Pattern(GPT4),
        ..PLAIN
    },
    PreTokenizer {
        names: &["tekken"],
        cut: Cut::Pattern(TEKKEN),
        ignore_merges: true,
        adds_bos: true,
        ..PLAIN
    },
    PreTokenizer {
        names: &["gpt-4o", "llama4"],
        cut: Cut::Pattern(GPT4O),
        ..PLAIN
    },
];

/// Pre-tokenizers that are built.
pub fn pre_tokenizers() -> impl Iterator<Item = PreTokenizer> {
    ALL.into_iter()
}

impl PreTokenizer {
    /// The one that llama.cpp calls so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        pre_tokenizers().find(|pre| pre.names.contains(&name))
    }

    /// Object of `tokenizer.json`.
    #[must_use]
    pub fn to_json(self) -> Value {
        let byte_level = |use_regex: bool| {
            json!({
                "type": "ByteLevel",
                "add_prefix_space": false,
                "trim_offsets": true,
                "use_regex": use_regex,
            })
        };
        let sequence = |first: Value, second: Value| json!({"type": "Sequence", "pretokenizers": [first, second]});
        match self.cut {
            Cut::Gpt2 => byte_level(true),
            Cut::Digits => {
                let digits = json!({"type": "Digits", "individual_digits": true});
                sequence(digits, byte_level(true))
            }
            Cut::Pattern(pattern) => {
                let split = json!({
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": "Isolated",
                    "invert": false,
                });
                sequence(split, byte_level(false))
            }
        }
    }

    /// Normalizer, as `tokenizer.json` has it.
    #[must_use]
    pub fn normalizer(self) -> Value {
        match self.composes {
            true => json!({"type": "NFC"}),
            false => Value::Null,
        }
    }
}
