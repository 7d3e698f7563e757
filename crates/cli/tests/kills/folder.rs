//! What lies in the folder of a run.

use crate::fixture::Fixture;
use std::path::PathBuf;

const FILES: [&str; 4] = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.safetensors",
    "checkpoint.json",
];
/// What else a run may leave.
const OTHERS: [&str; 5] = [
    "run.json",
    "metrics.jsonl",
    "report.json",
    "report.html",
    ".lock",
];

/// Checkpoints with their steps, in order.
fn checkpoints(fixture: &Fixture) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = names(fixture.path("out"))
        .into_iter()
        .filter_map(|name| {
            Some((
                name.strip_prefix("checkpoint-")?.parse().ok()?,
                format!("out/{name}"),
            ))
        })
        .collect();
    found.sort();
    found
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The steps of the state that a run goes on from: of the newest checkpoint that the adapter in the folder
/// itself is of, or of the newest of all where there is no adapter yet. `None` when there is none.
pub fn steps(fixture: &Fixture) -> Option<usize> {
    let adapter = |folder: &str| {
        let name = format!("{folder}/adapter_model.safetensors");
        std::fs::read(fixture.path(&name)).ok()
    };
    let own = adapter("out");
    let is_own = |folder: &str| own.is_none() || adapter(folder) == own;
    let mut newest = checkpoints(fixture).into_iter().rev();
    newest
        .find(|(_, folder)| is_own(folder))
        .map(|(step, _)| step)
}

fn is_complete(fixture: &Fixture, folder: &str) -> bool {
    FILES
        .iter()
        .all(|name| fixture.path(folder).join(name).is_file())
}

fn step_of(fixture: &Fixture, folder: &str) -> usize {
    let step = &fixture.json(&format!("{folder}/checkpoint.json"))["step"];
    step.as_u64().unwrap() as usize
}

/// Every checkpoint is complete and loads, and so does the adapter in the folder itself, if there is one.
pub fn check(fixture: &Fixture, what: &str) {
    for (step, folder) in checkpoints(fixture) {
        assert!(
            is_complete(fixture, &folder),
            "{what}: {folder}: {:?}",
            names(fixture.path(&folder))
        );
        assert_eq!(step_of(fixture, &folder), step, "{what}: {folder}");
        loads(fixture, &folder, what);
    }
    if fixture.path("out/adapter_model.safetensors").exists() {
        loads(fixture, "out", what);
    }
}

fn loads(fixture: &Fixture, folder: &str, what: &str) {
    let words = format!("generate --model model --adapter-path {folder} -p x --max-tokens 1");
    fixture
        .run(&words)
        .check(&format!("{what}: {words}"), 0, &[]);
}

/// Nothing but what a run without kills leaves.
pub fn check_no_litter(fixture: &Fixture, steps: usize) {
    let checkpoints = (1..=steps).map(|step| format!("checkpoint-{step}"));
    let known: Vec<String> = FILES
        .iter()
        .chain(&OTHERS)
        .map(|name| name.to_string())
        .chain(checkpoints)
        .collect();
    let litter = |folder: &str, known: &[String]| {
        let mut names = names(fixture.path(folder));
        names.retain(|name| !known.contains(name));
        assert!(names.is_empty(), "{folder}: {names:?}");
    };
    litter("out", &known);
    for (_, folder) in self::checkpoints(fixture) {
        litter(&folder, &known);
    }
    litter(
        "",
        &["model", "data", "out", "cache", "hf"].map(String::from),
    );
}
