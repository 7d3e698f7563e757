//! Two runs into one folder.

use crate::fixture::Fixture;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

const TRAIN: &str = "train --model model --data data --adapter-path out --save-every 1 --batch-size 2 --rank 2 \
                     --max-seq-length 48 --val-batches 0 --steps-per-report 1";

/// A run that would take for ever, after its first checkpoint.
fn started(fixture: &Fixture) -> Child {
    let mut command = fixture.command(&format!("{TRAIN} --iters 10000000"));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // The checkpoint of a step comes after the line that tells its loss.
    while !line.contains("Iter 2: Train loss") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "ended early");
    }
    // Nobody reads on: a reader that goes away does not end a run.
    child
}

#[test]
fn a_second_run_into_a_folder_is_refused_while_the_first_one_lives() {
    let fixture = Fixture::new();
    let mut first = started(&fixture);
    for words in ["", "--overwrite", "--resume-adapter-file out"] {
        let ended = fixture.run(&format!("{TRAIN} --iters 1 {words}"));
        assert!(
            matches!(ended.code, Some(1 | 2)),
            "{words}: {:?}\n{}",
            ended.code,
            ended.stderr
        );
        assert!(ended.stderr.contains("out"), "{words}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("another run"),
            "{words}: {}",
            ended.stderr
        );
        assert!(
            first.try_wait().unwrap().is_none(),
            "{words}: the first run ended"
        );
    }
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock of a killed run is none.
    fixture.ok(&format!("{TRAIN} --iters 1 --resume-adapter-file out"));
}

#[test]
fn a_run_that_was_killed_in_its_first_checkpoint_begins_again() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{TRAIN} --iters 1"));
    let there = std::fs::read_dir(fixture.path("out")).unwrap();
    for entry in there.map(Result::unwrap) {
        match entry.file_name().to_str().unwrap() {
            "metrics.jsonl" => {}
            "checkpoint-1" => {
                std::fs::rename(entry.path(), fixture.path("out/.tmp-checkpoint-1")).unwrap();
            }
            _ => std::fs::remove_file(entry.path()).unwrap(),
        }
    }
    fixture.fails(
        &format!("{TRAIN} --iters 1 --resume-adapter-file out"),
        2,
        &["the run in out ended before its first checkpoint"],
    );
    fixture.ok(&format!("{TRAIN} --iters 1"));
    assert!(!fixture.path("out/.tmp-checkpoint-1").exists());
}

#[test]
fn an_adapter_of_another_run_is_kept() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{TRAIN} --iters 3"));
    let adapter = || std::fs::read(fixture.path("out/adapter_model.safetensors")).unwrap();
    let before = adapter();
    fixture.fails(&format!("{TRAIN} --iters 1"), 2, &["out", "--overwrite"]);
    assert_eq!(adapter(), before);
    assert!(fixture.path("out/checkpoint-3").exists());
    fixture.ok(&format!("{TRAIN} --iters 1 --overwrite"));
    assert_ne!(adapter(), before);
    // Checkpoints of the run that was overwritten are none of the new one's.
    for step in [2, 3] {
        assert!(
            !fixture.path(&format!("out/checkpoint-{step}")).exists(),
            "{step}"
        );
    }
}
