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

/// Fails with every fault that the inputs of a kind find.
pub fn judge((kind, inputs): Kind) {
    let (began, base) = (Instant::now(), base());
    let inputs = inputs();
    let faults: Vec<String> = inputs
        .iter()
        .filter_map(|input| {
            let (fault, reproduction) = attack(input, &base)?;
            Some(format!(
                "{kind}/{}: {fault}\n    {reproduction}",
                input.name
            ))
        })
        .collect();
    tell(kind, inputs.len(), faults.len(), began);
    let (n, all) = (faults.len(), faults.join("\n"));
    assert!(n == 0, "{n} faults of {} inputs\n{all}", inputs.len());
}

/// A line of the table, past the harness, which shows only what failing tests print.
fn tell(kind: &str, n_inputs: usize, n_faults: usize, began: Instant) {
    let secs = began.elapsed().as_secs_f64();
    let line =
        format!("hostile {kind:<18} {n_inputs:>4} inputs {n_faults:>4} faults {secs:>6.1} s\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
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
fn attack(input: &Input, base: &Fixture) -> Option<(String, String)> {
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
    let shown = shown(words);
    let place = match std::env::var_os("METAL_CANDLE_KEEP_HOSTILE") {
        Some(_) => folder.keep().display().to_string(),
        None => "(kept with METAL_CANDLE_KEEP_HOSTILE=1)".into(),
    };
    Some((
        cut(&fault, 600),
        format!("cd {place}; HF_HUB_OFFLINE=1 metal-candle {shown}"),
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
