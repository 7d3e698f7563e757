//! Hostile files and options, each given to the binary in a process of its own with 4 GB and 20 s: whatever is wrong,
//! the program says so and ends with an exit code of its own. The seeds are fixed: every run has the same inputs.
//!
//! `cargo test --test hostile template` runs one kind. With METAL_CANDLE_KEEP_HOSTILE set, the folder of every input
//! that found a fault is kept, and the failure says how to run it again.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used)]

mod adapter_config;
mod adapter_mlx;
mod adapter_tensors;
mod checkpoint;
mod child;
mod config;
mod containers;
mod fault;
#[allow(dead_code)]
#[path = "../cli/fixture.rs"]
mod fixture;
mod generation_config;
mod gguf;
mod index;
mod input;
mod judge;
mod mutate;
mod odd_file;
mod options;
mod rows;
mod template;
mod tensor_file;
mod tokenizer;
mod weights;
mod yaml;

use input::Input;
use judge::judge;

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle");

/// A kind of input, and what makes those of it.
type Kind = (&'static str, fn() -> Vec<Input>);

const KINDS: [Kind; 15] = [
    ("config", config::inputs),
    ("tokenizer", tokenizer::inputs),
    ("template", template::inputs),
    ("weights", weights::inputs),
    ("gguf", gguf::inputs),
    ("index", index::inputs),
    ("generation_config", generation_config::inputs),
    ("adapter_config", adapter_config::inputs),
    ("adapter_mlx", adapter_mlx::inputs),
    ("adapter_tensors", adapter_tensors::inputs),
    ("rows", rows::inputs),
    ("containers", containers::inputs),
    ("yaml", yaml::inputs),
    ("options", options::inputs),
    ("checkpoint", checkpoint::inputs),
];

#[test]
fn there_are_500_inputs_with_names_of_their_own() {
    let names = |(kind, inputs): Kind| {
        let inputs = inputs().into_iter();
        inputs.map(move |input| format!("{kind}/{}", input.name))
    };
    let mut names: Vec<String> = KINDS.into_iter().flat_map(names).collect();
    assert!(names.len() >= 500, "{}", names.len());
    names.sort();
    let twice: Vec<&[String]> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

// One test a kind: the harness runs as many at once as there are processors.
macro_rules! test_of {
    ($($kind:ident),*) => {
        $(#[test]
        fn $kind() {
            judge(KINDS.into_iter().find(|(kind, _)| *kind == stringify!($kind)).unwrap());
        })*
    };
}
mod each {
    use super::{KINDS, judge};
    test_of!(
        config,
        tokenizer,
        template,
        weights,
        gguf,
        index,
        generation_config,
        adapter_config,
        adapter_mlx,
        adapter_tensors,
        rows,
        containers,
        yaml,
        options,
        checkpoint
    );
}
