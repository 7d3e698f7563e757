//! All inputs of a kind, one after the other, and what is told of them.

use crate::fixture::Fixture;
use crate::input::Input;
use crate::{Kind, child, fault};
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// Folders that every input gets a copy of.
const FOLDERS: [&str; 3] = ["model", "data", "adapters"];

/// Fails when an input of a kind finds a fault; all of them are told.
pub fn judge((kind, inputs): Kind) {
    let (began, base, inputs) = (Instant::now(), base(), inputs());
    let n_faults = inputs.iter().filter_map(|input| attack(input, &base));
    let n_faults = n_faults
        .inspect(|fault| tell(&format!("hostile {kind}/{fault}")))
        .count();
    let (n_inputs, secs) = (inputs.len(), began.elapsed().as_secs_f64());
    tell(&format!(
        "hostile {kind:<18} {n_inputs:>4} inputs {n_faults:>4} faults {secs:>6.1} s"
    ));
    assert_eq!(n_faults, 0, "faults of {n_inputs} inputs, told above");
}

/// Writes a line past the harness, which shows only what failing tests print, and that in the end.
fn tell(line: &str) {
    std::io::stderr()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
}

/// A model, data, and an adapter of one step with everything that a run leaves beside it.
fn base() -> Fixture {
    let fixture = Fixture::new();
    fixture.ok(
        "train --model model --data data --adapter-path adapters --iters 1 --batch-size 2 --rank 2 \
         --max-seq-length 48 --val-batches 1 --learning-rate 1e-3",
    );
    fixture
}

/// The first fault that `input` finds, and how to find it again.
fn attack(input: &Input, base: &Fixture) -> Option<String> {
    let folder = TempDir::new().unwrap();
    for name in FOLDERS {
        copy(&base.path(name), &folder.path().join(name));
    }
    input.prepare(folder.path());
    let found = input.commands.iter().find_map(|words| {
        let ended = child::run(folder.path(), words);
        fault::of(&ended, &input.verdict, folder.path()).map(|fault| (fault, words))
    });
    let (fault, words) = found?;
    let place = match std::env::var_os("METAL_CANDLE_KEEP_HOSTILE") {
        Some(_) => folder.keep().display().to_string(),
        None => "(kept with METAL_CANDLE_KEEP_HOSTILE=1)".into(),
    };
    let (name, fault, shown) = (cut(&input.name, 160), cut(&fault, 600), shown(words));
    Some(format!(
        "{name}: {fault}\n    cd {place}; HF_HUB_OFFLINE=1 metal-candle {shown}"
    ))
}

/// A command line for a shell.
fn shown(words: &[OsString]) -> String {
    let quoted = words.iter().map(|word| {
        let word = cut(&word.to_string_lossy(), 120);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
        match !word.is_empty() && word.chars().all(is_plain) {
            true => word,
            false => format!("'{}'", word.escape_debug()),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, n_chars: usize) -> String {
    match text.chars().count() > n_chars {
        true => text.chars().take(n_chars).chain("...".chars()).collect(),
        false => text.to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(std::fs::copy(&path, &to).unwrap()),
        }
    }
}
