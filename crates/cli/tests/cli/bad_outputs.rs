use crate::fixture::{Ended, Fixture, TRAIN, ended};
use std::process::Command;

#[test]
fn unwritable_output_folder_is_told_before_training() {
    let fixture = Fixture::new();
    fixture.write("file", "");
    let expected = ["--adapter-path file/adapters", "cannot write"];
    fixture.fails(
        &format!("{TRAIN} --adapter-path file/adapters"),
        2,
        &expected,
    );
    fixture.fails(
        &format!("{TRAIN} --adapter-path file"),
        2,
        &["--adapter-path file"],
    );
    fixture.train("--iters 1");
    let fuse = "fuse --model model --save-path file/fused";
    fixture.fails(fuse, 2, &["--save-path file/fused", "cannot write"]);
    assert_eq!(fixture.read("file"), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_refuses_files_is_told_before_training() {
    let fixture = Fixture::new();
    // Refuses even root, whom permissions do not stop.
    let ended = fixture.fails(
        &format!("{TRAIN} --adapter-path /proc/adapters"),
        2,
        &["/proc"],
    );
    assert!(!ended.stderr.contains("Training"), "{}", ended.stderr);
}

#[test]
fn fuse_overwrites_nothing() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    fixture.write("fused/notes.txt", "mine");
    let expected = [
        "--save-path fused exists and is not empty",
        "choose another folder",
    ];
    fixture.fails("fuse --model model --save-path fused", 2, &expected);
    assert_eq!(fixture.read("fused/notes.txt"), "mine");
}

/// Runs with files of at most `blocks` times 512 bytes: a disk that is full.
fn on_a_full_disk(fixture: &Fixture, blocks: usize, words: &str) -> Ended {
    let binary = env!("CARGO_BIN_EXE_metal-candle");
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {binary} {words}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(fixture.path(""));
    ended(command.output().unwrap())
}

#[cfg(unix)]
#[test]
fn full_disk_while_saving_an_adapter() {
    let fixture = Fixture::new();
    let ended = on_a_full_disk(&fixture, 8, &format!("{TRAIN} --rank 16"));
    ended.check("train", 1, &["adapter_model.safetensors", "make room"]);
    fixture.assert_nothing_half_written("adapters");
}

#[cfg(unix)]
#[test]
fn full_disk_keeps_the_adapter_that_was_there() {
    let fixture = Fixture::new();
    fixture.train("--rank 1 --targets q_proj");
    let before = std::fs::read(fixture.path("adapters/adapter_model.safetensors")).unwrap();
    let ended = on_a_full_disk(&fixture, 8, &format!("{TRAIN} --rank 16 --overwrite"));
    ended.check("train", 1, &["make room"]);
    let after = std::fs::read(fixture.path("adapters/adapter_model.safetensors")).unwrap();
    assert_eq!(before, after);
    fixture.ok("perplexity --model model --adapter-path adapters --data data/valid.jsonl");
}

#[cfg(unix)]
#[test]
fn full_disk_while_fusing() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    let ended = on_a_full_disk(&fixture, 8, "fuse --model model --save-path fused");
    ended.check("fuse", 1, &["model.safetensors", "make room"]);
    assert!(!fixture.path("fused").exists());
    let leftovers = std::fs::read_dir(fixture.path("")).unwrap();
    let hidden = leftovers.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    });
    assert_eq!(hidden.count(), 0);
}

#[cfg(unix)]
#[test]
fn full_disk_while_converting() {
    let fixture = Fixture::new();
    let words = "convert --model model --save-path new/model.gguf";
    let ended = on_a_full_disk(&fixture, 8, words);
    ended.check("convert", 1, &["new/model.gguf", "make room"]);
    assert!(!fixture.path("new/model.gguf").exists());
    fixture.ok(words);
    assert!(fixture.path("new/model.gguf").is_file());
    fixture.fails(words, 2, &["--save-path new/model.gguf exists"]);
}
