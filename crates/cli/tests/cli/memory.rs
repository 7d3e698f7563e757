//! A system that gives no more memory: exit code 1 and the advice, not an abort.
#![cfg(target_os = "linux")]

use crate::fixture::{Fixture, ended};
use std::process::Command;

/// Runs the binary with at most so many KiB of addresses.
fn run_with(fixture: &Fixture, kib: usize, words: &str) -> crate::fixture::Ended {
    let command = fixture.command(words);
    let mut shell = Command::new("bash");
    shell
        .args([
            "-c",
            &format!("ulimit -c 0; ulimit -v {kib}; exec \"$@\""),
            "bash",
        ])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(fixture.path(""))
        .stdin(std::process::Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    ended(shell.output().unwrap())
}

/// A model whose tables need more than they leave.
fn large(fixture: &Fixture) {
    let mut config = crate::fixture::config();
    config["max_position_embeddings"] = 100_000.into();
    config["hidden_size"] = 512.into();
    config["intermediate_size"] = 4096.into();
    crate::fixture::write_weights(&fixture.path("model"), &config, 3);
    let row = serde_json::json!({"text": "please say ".repeat(1000)}).to_string() + "\n";
    fixture.write("data/train.jsonl", &row);
    fixture.write("data/valid.jsonl", &row);
    fixture.write("prompt", &"please say ".repeat(1000));
}

#[test]
fn a_run_without_memory_ends_with_the_advice() {
    let fixture = Fixture::new();
    large(&fixture);
    // What the program itself hardly fits in.
    let fits = |kib: &usize| run_with(&fixture, *kib, "--version").code == Some(0);
    let least = (10_000..).step_by(1_000).find(fits).unwrap();
    let needs = |words: &str| {
        run_with(&fixture, 100_000_000, words).check(words, 0, &[]);
        let mut n_told = 0;
        for kib in (least..least + 220_000).step_by(25_000) {
            let ended = run_with(&fixture, kib, words);
            let Some(code) = ended.code else {
                panic!("{words} with {kib} KiB: {}", ended.stderr);
            };
            assert!(
                [0, 1].contains(&code),
                "{words} with {kib} KiB: {code}\n{}",
                ended.stderr
            );
            let is_told = ended.stderr.contains("error: ") && ended.stderr.contains("help: ");
            assert!(
                code == 0 || is_told,
                "{words} with {kib} KiB:\n{}",
                ended.stderr
            );
            assert!(
                !ended.stderr.contains("panicked") && !ended.stderr.contains("internal error"),
                "{}",
                ended.stderr
            );
            n_told += usize::from(ended.stderr.contains("error: out of memory: "));
            if code == 0 {
                break;
            }
        }
        assert!(n_told > 0, "{words}");
    };
    needs(
        "train --model model --data data --iters 1 --batch-size 1 --max-seq-length 1500 --adapter-path out --overwrite --val-batches 0",
    );
    needs("perplexity --model model --data data/train.jsonl --max-seq-length 1500");
    needs("generate --model model --ignore-chat-template -p please --max-tokens 3");
}
