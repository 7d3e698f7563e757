//! Paths that are no files, and text that would write on a terminal by itself.

use crate::fixture::{Fixture, ended};

#[test]
fn empty_names_are_told() {
    let fixture = Fixture::new();
    let run = |words: &[&str], expected: &[&str]| {
        let mut command = fixture.command("");
        ended(command.args(words).output().unwrap()).check(&words.join(" "), 2, expected);
    };
    run(
        &["generate", "--model", "", "-p", "x"],
        &["--model \"\"", "does not exist"],
    );
    run(
        &["train", "--model", "model", "--data", ""],
        &["--data", "value is required"],
    );
    run(
        &["perplexity", "--model", "model", "--data", ""],
        &["--data", "value is required"],
    );
    run(&["generate", "--model", "a\nb", "-p", "x"], &["a\\nb"]);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_at_once() {
    let fixture = Fixture::new();
    let fifo = fixture.path("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    for path in ["/dev/null", "/dev/zero", "pipe"] {
        fixture.fails(
            &format!("perplexity --model model --data {path}"),
            2,
            &[path, "not a file but"],
        );
        fixture.fails(
            &format!("inspect --model model --data {path}"),
            2,
            &[path, "not a file but"],
        );
        fixture.fails(&format!("train -c {path}"), 2, &[path, "not a file but"]);
    }
    for name in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "generation_config.json",
    ] {
        let path = fixture.path("model").join(name);
        let good = std::fs::read(&path).ok();
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(&fifo, &path).unwrap();
        fixture.fails("generate --model model -p x", 2, &[name, "not a file but"]);
        std::fs::remove_file(&path).unwrap();
        if let Some(good) = good {
            std::fs::write(&path, good).unwrap();
        }
    }
    // A shell's own pipe is open already.
    let binary = fixture.command("").get_program().to_owned();
    let mut shell = std::process::Command::new("bash");
    shell
        .args([
            "-c",
            "\"$0\" perplexity --model model --data <(cat data/valid.jsonl)",
        ])
        .arg(binary);
    ended(shell.current_dir(fixture.path("")).output().unwrap()).check("pipe", 0, &[]);
}

#[test]
fn control_characters_are_spelled_out_and_messages_have_an_end() {
    let fixture = Fixture::new();
    let evil = "\u{1b}[2J\u{7}\u{9b}31m\u{202e}txet\r";
    // clap takes sequences that begin with ESC out itself.
    let escaped = "\\u{9b}31m\\u{202e}txet\\r";
    let model_type = format!("{evil}{}", "x".repeat(100_000));
    fixture.edit("model/config.json", |config| {
        config["model_type"] = model_type.clone().into()
    });
    let ended = fixture.fails("generate --model model -p x", 2, &["model_type", "..."]);
    assert!(
        !ended.stderr.contains(|c: char| c.is_control() && c != '\n'),
        "{:?}",
        ended.stderr
    );
    assert!(ended.stderr.len() < 9000, "{}", ended.stderr.len());
    // An option's value in a file.
    let spelled: String = evil
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    fixture.write("lora.yaml", &format!("iters: \"{spelled}\"\n"));
    let ended = fixture.fails("train -c lora.yaml", 2, &["lora.yaml", "--iters", escaped]);
    assert!(
        !ended.stderr.contains(|c: char| c.is_control() && c != '\n'),
        "{:?}",
        ended.stderr
    );
}
