//! A GGUF file as the model: 24 bytes of magic, version and counts, keys with values, descriptions of tensors, tensors.

use crate::input::{Input, write};
use crate::mutate;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::gguf::Writer;
use std::path::Path;
use std::sync::OnceLock;

const FILE: &str = "model.gguf";
const GENERATE: &str = "generate --model model.gguf -p hello --max-tokens 2";
const COMMANDS: [&str; 4] = [
    GENERATE,
    "inspect --model model.gguf",
    "perplexity --model model.gguf --data data/valid.jsonl --max-seq-length 48",
    "train --model model.gguf --data data --adapter-path out --iters 1 --batch-size 2 --rank 2 --max-seq-length 48 \
     --val-batches 1 --learning-rate 1e-3",
];

pub fn inputs() -> Vec<Input> {
    let mut inputs = vec![accepted()];
    inputs.extend(lengths());
    inputs.extend(counts());
    inputs.extend(settings());
    inputs.extend(tensors());
    inputs.extend(vocabulary());
    let damaged = mutate::bytes_of(FILE, &COMMANDS, 60).into_iter();
    inputs.extend(
        damaged.map(|input| input.before(|folder| write(&folder.join(FILE), valid(folder)))),
    );
    inputs
}

/// The model of `folder` as a file.
fn valid(folder: &Path) -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let loaded = LanguageModel::load(folder.join("model"), &Device::Cpu).unwrap();
        let (mut writer, path) = (Writer::default(), folder.join("made.gguf"));
        let file_type = "q8_0".parse().unwrap();
        loaded.model.add_to_gguf(&mut writer, file_type).unwrap();
        let vocab_size = loaded.model.config.vocab_size;
        loaded
            .tokenizer
            .add_to_gguf(&mut writer, vocab_size)
            .unwrap();
        writer.write(&path).unwrap();
        std::fs::read(path).unwrap()
    })
}

fn named(name: impl Into<String>, change: impl Fn(Vec<u8>) -> Vec<u8> + 'static) -> Input {
    let input = Input::new(name, GENERATE);
    input.change(move |folder| write(&folder.join(FILE), &change(valid(folder).to_vec())))
}

fn accepted() -> Input {
    let mut input = named("as it was written", |old| old);
    for command in &COMMANDS[1..] {
        input = input.and(command);
    }
    input.accepted()
}

fn lengths() -> Vec<Input> {
    let first = |n: usize| named(format!("first {n} bytes"), move |old| old[..n].to_vec());
    let mut inputs: Vec<Input> = [0, 1, 4, 8, 16, 23, 24, 31, 40, 100, 1000, 10_000]
        .map(first)
        .into();
    inputs.push(named("without its last bytes", |old| {
        old[..old.len() - 33].to_vec()
    }));
    inputs.push(named("half of it", |old| old[..old.len() / 2].to_vec()));
    inputs.push(named("a hole at its end", |mut old| {
        let n = old.len();
        old[n / 2..].fill(0);
        old
    }));
    inputs.into_iter().map(|input| input.refused(&[])).collect()
}

/// Bytes at a place.
fn put(at: usize, bytes: impl AsRef<[u8]>) -> impl Fn(Vec<u8>) -> Vec<u8> {
    let bytes = bytes.as_ref().to_vec();
    move |mut old| {
        old[at..at + bytes.len()].copy_from_slice(&bytes);
        old
    }
}

const SIZES: [u64; 6] = [
    u64::MAX,
    i64::MAX as u64,
    1 << 40,
    1 << 32,
    100_000_000,
    999,
];

fn counts() -> Vec<Input> {
    let mut inputs = vec![];
    for version in [0, 1, 4, 3 << 24, u32::MAX] {
        inputs.push(named(
            format!("version {version}"),
            put(4, version.to_le_bytes()),
        ));
    }
    for size in SIZES.into_iter().chain([0, 1]) {
        let bytes = size.to_le_bytes();
        inputs.push(named(format!("{size} tensors"), put(8, bytes)));
        inputs.push(named(format!("{size} values"), put(16, bytes)));
        inputs.push(named(
            format!("a first key of {size} bytes"),
            put(24, bytes),
        ));
    }
    inputs
        .into_iter()
        .map(|input| input.refused(&["model.gguf"]))
        .collect()
}

/// Bytes behind a name, `skip` further on.
fn behind(name: &'static str, skip: usize, bytes: impl AsRef<[u8]>) -> impl Fn(Vec<u8>) -> Vec<u8> {
    let bytes = bytes.as_ref().to_vec();
    move |old| {
        let at = place(&old, name) + skip;
        put(at, &bytes)(old)
    }
}

/// The byte behind a name, which ends a key or a tensor's name.
fn place(bytes: &[u8], name: &str) -> usize {
    let mut windows = bytes.windows(name.len());
    windows
        .position(|window| window == name.as_bytes())
        .unwrap()
        + name.len()
}

/// A value follows its type of four bytes.
fn settings() -> Vec<Input> {
    let whole = [
        ".context_length",
        ".embedding_length",
        ".block_count",
        ".feed_forward_length",
        ".attention.head_count",
        ".attention.head_count_kv",
        ".attention.key_length",
        ".rope.dimension_count",
    ];
    let mut inputs = vec![];
    for key in whole {
        for size in [0, 3, 1_000_001, i32::MAX as u32, u32::MAX] {
            let input = named(
                format!("{key} = {size}"),
                behind(key, 4, size.to_le_bytes()),
            );
            // A longer context, or more of it, is no contradiction.
            let may_be = key == ".context_length" && size > 0;
            inputs.push(if may_be {
                input
            } else {
                input.refused(&["model.gguf"])
            });
        }
        for kind in [8_u32, 9, 7, 99] {
            let input = named(
                format!("{key} of type {kind}"),
                behind(key, 0, kind.to_le_bytes()),
            );
            inputs.push(input.refused(&["model.gguf"]));
        }
    }
    for key in [".attention.layer_norm_rms_epsilon", ".rope.freq_base"] {
        for number in [f32::NAN, f32::INFINITY, -1.0, 0.0] {
            let input = named(
                format!("{key} = {number}"),
                behind(key, 4, number.to_le_bytes()),
            );
            inputs.push(input.refused(&["model.gguf"]));
        }
    }
    inputs
}

/// A name is followed by the number of dimensions, these, a type and an offset.
fn tensors() -> Vec<Input> {
    const MATRIX: &str = "token_embd.weight";
    let mut inputs = vec![];
    for n in [0, 1, 5, 1000, u32::MAX] {
        inputs.push(named(
            format!("{n} dimensions"),
            behind(MATRIX, 0, n.to_le_bytes()),
        ));
    }
    for size in SIZES.into_iter().chain([1]) {
        let bytes = size.to_le_bytes();
        inputs.push(named(format!("rows of {size}"), behind(MATRIX, 4, bytes)));
        inputs.push(named(
            format!("{} rows", size - 1),
            behind(MATRIX, 12, (size - 1).to_le_bytes()),
        ));
        inputs.push(named(
            format!("tensor at byte {size}"),
            behind(MATRIX, 24, bytes),
        ));
    }
    for kind in [5, 9, 15, 16, 24, 28, 39, 99, u32::MAX] {
        inputs.push(named(
            format!("tensor of type {kind}"),
            behind(MATRIX, 20, kind.to_le_bytes()),
        ));
    }
    inputs.push(named(
        "two tensors in one place",
        behind("output_norm.weight", 16, [0; 8]),
    ));
    inputs.push(named("a tensor of another name", |mut old| {
        let end = place(&old, MATRIX);
        old[end - 1] = b'x';
        old
    }));
    inputs.push(named("a factor that is no number", |mut old| {
        let n = old.len();
        old[n - 4000..].fill(0xff);
        old
    }));
    inputs
        .into_iter()
        .map(|input| input.refused(&["model.gguf"]))
        .collect()
}

/// A list has a type, another one, and its length before its values.
fn vocabulary() -> Vec<Input> {
    let mut inputs = vec![];
    for key in [
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.token_type",
    ] {
        for size in SIZES {
            let input = named(
                format!("{key} of {size}"),
                behind(key, 8, size.to_le_bytes()),
            );
            inputs.push(input.refused(&["model.gguf"]));
        }
        for kind in [6_u32, 7, 9, 13] {
            let input = named(
                format!("{key} of type {kind}"),
                behind(key, 4, kind.to_le_bytes()),
            );
            inputs.push(input.refused(&["model.gguf"]));
        }
    }
    let model = |name: &'static str| put_text("tokenizer.ggml.model", name);
    inputs.push(named("another tokenizer", model("bert")).refused(&["model.gguf"]));
    inputs.push(
        named("a tokenizer of pieces without scores", model("llama")).refused(&["model.gguf"]),
    );
    let eos = behind("tokenizer.ggml.eos_token_id", 4, u32::MAX.to_le_bytes());
    inputs.push(named("an end that is no token", eos).told(&["4294967295"]));
    inputs
}

/// A text in the place of another one.
fn put_text(key: &'static str, text: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    let text = text.as_bytes().to_vec();
    move |mut old| {
        let at = place(&old, key) + 4;
        let length = u64::from_le_bytes(old[at..at + 8].try_into().unwrap()) as usize;
        let new = [&(text.len() as u64).to_le_bytes()[..], &text].concat();
        old.splice(at..at + 8 + length, new);
        old
    }
}
