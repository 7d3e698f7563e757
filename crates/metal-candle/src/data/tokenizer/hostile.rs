//! Mutated tokenizer files: each ends in a tokenizer that works or in an error, without a panic,
//! an abort or a long wait.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tempfile::tempdir;

use super::Tokenizer;
use crate::data::TextStream;
use crate::data::testing::write_json;

const TEXTS: [&str; 6] = [
    "",
    "a",
    " aab  ba<s>b",
    "é中🙂\u{200D}\u{0}",
    "a\n\n\tB1.,'s",
    "ab<unk> ▁Ġ<0xE4>",
];

/// Values that some reader of them has not thought of.
fn hostile(rng: &mut impl Rng) -> Value {
    let long = "a".repeat(5000);
    let key = ["normalizers", "decoders", "pretokenizers", "processors"][rng.random_range(0..4)];
    let nested = (0..60).fold(
        json!({"type": "Fuse"}),
        |inner, _| json!({"type": "Sequence", key: [inner]}),
    );
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(7),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(1e308),
        json!(-0.5),
        json!(""),
        json!("a"),
        json!("é"),
        json!("<s>"),
        json!("▁"),
        json!(long),
        json!("("),
        json!("(a+)+$(?!b)"),
        json!("(?=(a*)*)b|"),
        json!(".{1000}{1000}"),
        json!("\\s+(?!\\S)|"),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"String": ""}),
        json!({"Regex": "(a|aa)+$(?<!b)"}),
        json!({"type": "Replace", "pattern": {"String": "a"}, "content": long}),
        json!({"type": "Replace", "pattern": {"Regex": ""}, "content": "aa"}),
        json!({"type": "Strip", "content": "a", "start": 9, "stop": 9}),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
        json!({"type": "FixedLength", "length": 0}),
        json!({"type": "BPEDecoder", "suffix": ""}),
        json!({"type": "WordPiece", "prefix": "", "cleanup": true}),
        json!({"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": true}),
        json!({"type": "Metaspace", "replacement": "é", "prepend_scheme": "always", "split": true}),
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Punctuation", "behavior": "MergedWithNext"}),
        json!({"type": "UnicodeScripts"}),
        json!({"type": "Split", "pattern": {"Regex": "(a*)*$(?!b)"}, "behavior": "Isolated", "invert": true}),
        nested,
    ];
    values[rng.random_range(0..values.len())].clone()
}

/// A place in `value`, reached by going down at random.
fn place<'a>(value: &'a mut Value, rng: &mut impl Rng) -> &'a mut Value {
    let n = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        _ => 0,
    };
    if n == 0 || rng.random_bool(0.15) {
        return value;
    }
    let at = rng.random_range(0..n);
    match value {
        Value::Array(items) => place(&mut items[at], rng),
        Value::Object(fields) => match fields.iter_mut().nth(at) {
            Some((_, field)) => place(field, rng),
            None => unreachable!("there are {n} fields"),
        },
        _ => unreachable!("it has parts"),
    }
}

fn mutate(file: &mut Value, rng: &mut impl Rng) {
    let new = hostile(rng);
    let other = place(&mut file.clone(), rng).clone();
    let target = place(file, rng);
    match (rng.random_range(0..6), target) {
        (0, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields
                .keys()
                .nth(rng.random_range(0..fields.len()))
                .cloned();
            fields.shift_remove(&key.unwrap_or_default());
        }
        (1, Value::Array(items)) if !items.is_empty() => {
            let item = items[rng.random_range(0..items.len())].clone();
            items.push(item);
        }
        (2, Value::Array(items)) => items.push(new),
        (3, target) => *target = other,
        (_, target) => *target = new,
    }
}

fn special(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": true, "rstrip": true, "normalized": true, "special": true})
}

fn vocab(tokens: &[&str]) -> Value {
    tokens
        .iter()
        .zip(0..)
        .map(|(token, id)| ((*token).to_owned(), json!(id)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A small file of every kind of model, with every kind of part around it.
fn files() -> Vec<Value> {
    let tokens = [
        "<unk>", "<s>", "a", "b", "ab", "▁", "▁a", "##b", "Ġ", "Ġa", "<0xE4>", "<0x00>",
    ];
    let template = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}});
    let unigram: Value = tokens.iter().map(|token| json!([token, -1.5])).collect();
    let models = [
        json!({"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": vocab(&tokens), "merges": [["a", "b"], ["▁", "a"], ["Ġ", "a"]]}),
        json!({"type": "WordPiece", "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab(&tokens)}),
        json!({"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab": unigram}),
        json!({"type": "WordLevel", "unk_token": "<unk>", "vocab": vocab(&tokens)}),
    ];
    let around = |model: Value, level: usize| {
        let split = json!({"type": "Split", "pattern": {"Regex": "\\p{L}+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false});
        json!({"version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "<unk>"},
            "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(12, "<x>")],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "Strip", "strip_left": true, "strip_right": false}]},
            "pre_tokenizer": ([json!({"type": "Sequence", "pretokenizers": [split, {"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}),
                json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true})][level % 2]),
            "post_processor": ([template.clone(), json!({"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}, template.clone()]}),
                json!({"type": "BertProcessing", "sep": ["<s>", 1], "cls": ["<s>", 1]}),
                json!({"type": "RobertaProcessing", "sep": ["<s>", 1], "cls": ["<s>", 1], "trim_offsets": true, "add_prefix_space": true})][level % 4]),
            "decoder": ([json!({"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1}]}),
                json!({"type": "WordPiece", "prefix": "##", "cleanup": true}), json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
                json!({"type": "CTC", "pad_token": "<unk>", "word_delimiter_token": "▁", "cleanup": true})][level % 4]),
            "model": model})
    };
    (0..4)
        .flat_map(|level| models.clone().map(|model| around(model, level)))
        .collect()
}

fn beside() -> Value {
    json!({"eos_token": "<s>", "bos_token": {"content": "<s>", "lstrip": true}, "add_bos_token": true, "add_prefix_space": true,
        "additional_special_tokens": ["<y>"], "added_tokens_decoder": {"12": {"content": "<x>", "normalized": true, "special": false}, "13": {"content": "<z>"}}})
}

/// Everything that is done with a tokenizer; errors are as good as results.
fn use_it(tokenizer: &Tokenizer) {
    let mut ids = vec![0, 1, 2, 7, 10, 11, 11, 12, 13, 300, u32::MAX];
    for text in TEXTS {
        let _ = tokenizer.encode_with_offsets(text, true);
        let _ = tokenizer.encode_plain(text);
        if let Ok(encoded) = tokenizer.encode_raw(text) {
            let _ = tokenizer.decode_all(&encoded);
            ids.extend(encoded.iter().take(50));
        }
    }
    let mut stream = TextStream::new(tokenizer);
    for &id in &ids {
        let _ = (
            tokenizer.decode(&[id]),
            tokenizer.is_special(id),
            tokenizer.id_to_token(id),
        );
        let _ = stream.push(id);
    }
    let _ = (tokenizer.decode(&ids), stream.finish(), tokenizer.n_ids());
    let _ = tokenizer.encode_raw(&"ab ".repeat(3000));
    let _ = tokenizer.encode_raw(&"a".repeat(9000));
}

/// Reads and uses mutated files; gives how many were accepted.
fn run(seeds: std::ops::Range<u64>) -> usize {
    let (bases, folder) = (files(), tempdir().unwrap());
    let mut accepted = 0;
    for seed in seeds {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut file = bases[rng.random_range(0..bases.len())].clone();
        let mut config = beside();
        for _ in 0..rng.random_range(0..4) {
            mutate(&mut file, &mut rng);
        }
        if rng.random_bool(0.2) {
            mutate(&mut config, &mut rng);
        }
        write_json(folder.path(), "tokenizer.json", &file);
        write_json(folder.path(), "tokenizer_config.json", &config);
        let begin = Instant::now();
        if let Ok(tokenizer) = Tokenizer::from_folder(folder.path()) {
            use_it(&tokenizer);
            accepted += 1;
        }
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(20),
            "seed {seed} took {took:?}: {file}"
        );
    }
    accepted
}

#[test]
fn mutated_files_end_in_a_tokenizer_or_an_error() {
    let accepted = run(0..400);
    assert!(
        (50..350).contains(&accepted),
        "{accepted} of 400 were accepted"
    );
}

#[test]
#[ignore = "minutes: more seeds, for a change of the tokenizers crate"]
fn many_more_mutated_files() {
    let accepted = run(400..20_400);
    assert!(accepted > 1000, "{accepted}");
}

fn error(file: &Value) -> String {
    let folder = tempdir().unwrap();
    write_json(folder.path(), "tokenizer.json", file);
    Tokenizer::from_folder(folder.path())
        .err()
        .unwrap()
        .to_string()
}

#[test]
fn a_file_that_makes_gigabytes_of_a_line_is_refused() {
    let double = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let empty = json!({"type": "Replace", "pattern": {"Regex": "b*"}, "content": "aa"});
    let mut file = files().swap_remove(0);
    for step in [&double, &empty] {
        file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![step; 40]});
        let error = error(&file);
        assert!(error.contains("normalizer: it may make a text"), "{error}");
    }
    file["normalizer"] = json!(null);
    file["decoder"] = json!({"type": "Sequence", "decoders": vec![&double; 40]});
    assert!(error(&file).contains("decoder: it may make a text"));
    file["decoder"] = json!(null);
    file["post_processor"]["special_tokens"]["<s>"]["ids"] = json!(vec![1; 2000]);
    file["post_processor"]["special_tokens"]["<s>"]["tokens"] = json!(vec!["<s>"; 2000]);
    assert!(error(&file).contains("a template of 2000 parts"));
}

/// A panic inside of the tokenizers crate is our error, when it reads and when it works.
#[test]
fn panics_of_the_tokenizers_crate_are_errors() {
    let mut file = files().swap_remove(0);
    file["model"]["continuing_subword_prefix"] = json!("a long prefix");
    assert!(
        error(&file).contains("tokenizer.json: not a tokenizer: it cannot work with this file")
    );
    let mut file = files().swap_remove(0);
    file["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0});
    let folder = tempdir().unwrap();
    write_json(folder.path(), "tokenizer.json", &file);
    let tokenizer = Tokenizer::from_folder(folder.path()).unwrap();
    let error = tokenizer.encode("aab").unwrap_err().to_string();
    assert!(
        error.contains("the tokenizer failed: it cannot work with this file"),
        "{error}"
    );
}
