//! Words of a run from its beginning to its end, less of them with `--quiet`, completions and the man page.

use crate::fixture::Fixture;

#[test]
fn a_run_says_what_it_trains_on_what_and_with_what() {
    let fixture = Fixture::new();
    fixture.write("data/test.jsonl", &crate::fixture::rows(5));
    let ended = fixture.train("--mask-prompt --scale 2");
    for text in [
        "model    model: qwen3, 2 blocks, ",
        "trained  lora, rank 4, scale 2, 14 layers of all-linear: ",
        ": train 24 rows, ",
        "valid 6 rows, ",
        "steps    4 of 4 rows, 0.7 epochs",
        "device   cpu, ",
        "folder   adapters",
        "metal-candle generate --model model --adapter-path adapters --prompt",
        "metal-candle perplexity --model model --adapter-path adapters --data data/test.jsonl --mask-prompt",
        "metal-candle fuse --model model --adapter-path adapters",
    ] {
        assert!(
            ended.stderr.contains(text),
            "no {text:?} in\n{}",
            ended.stderr
        );
    }
    let told = ended.stdout.split("Validation loss ").nth(1).unwrap();
    let told = told.lines().next().unwrap();
    let words = "perplexity --model model --adapter-path adapters --data data/valid.jsonl --mask-prompt --json";
    let answer = fixture.ok_json(words);
    let loss = |value: &serde_json::Value| format!("{:.3}", value.as_f64().unwrap());
    let (before, after) = (loss(&answer["base"]["loss"]), loss(&answer["loss"]));
    assert_eq!(told, format!("{before} before, {after} after"));
    // The parameters that were counted are those that inspect counts.
    let words = "inspect --model model --adapter-path adapters --json";
    let n = fixture.ok_json(words)["trainable_parameters"].to_string();
    assert!(
        ended
            .stderr
            .contains(&format!("all-linear: {n} parameters"))
    );
}

#[test]
fn what_was_decided_is_told_when_it_is_asked_for() {
    let fixture = Fixture::new();
    let told = fixture.train("-v --num-layers 1").stderr;
    for text in [
        "info: vector instructions: ",
        "info: blocks 0 to 0 are computed without a graph: nothing below block 1 is trained",
        "info: blocks are kept for backward",
    ] {
        assert!(told.contains(text), "no {text:?} in\n{told}");
    }
    assert!(!fixture.train("--overwrite").stderr.contains("info: "));
}

#[test]
fn a_quiet_run_says_nothing_that_is_no_result() {
    let fixture = Fixture::new();
    // Rows that are trained on as well would be told.
    let other = "{\"prompt\": \"what\", \"completion\": \"that\"}\n";
    fixture.write("data/valid.jsonl", other);
    let ended = fixture.train("--quiet");
    assert_eq!((&*ended.stdout, &*ended.stderr), ("", ""));
    assert!(fixture.path("adapters/metrics.jsonl").exists());
    let perplexity = "perplexity --model model --data data/valid.jsonl";
    let loud = fixture.ok(perplexity).stdout;
    assert_eq!(fixture.ok(&format!("{perplexity} -q")).stdout, loud);
    let wrong = "train -q --model ./none --data data --adapter-path other";
    fixture.fails(wrong, 2, &["error: ", "none"]);
    fixture.fails("doctor -q -v", 2, &["cannot be used with"]);
}

#[test]
fn warnings_are_told_all_the_same() {
    let fixture = Fixture::new();
    let told = fixture.train("--quiet --max-seq-length 8").stderr;
    assert!(
        told.contains("warning: ") && told.contains("were cut"),
        "{told}"
    );
}

#[test]
fn completions_and_pages_know_every_command() {
    let fixture = Fixture::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = fixture.ok(&format!("completions {shell}")).stdout;
        for word in ["metal-candle", "verify", "early-stopping-patience", "quiet"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    fixture.fails("completions tcsh", 2, &["tcsh"]);
    let page = fixture.ok("man").stdout;
    assert!(page.contains(".TH metal-candle 1"), "{page}");
    fixture.ok("man --output pages");
    for page in [
        "metal-candle.1",
        "metal-candle-train.1",
        "metal-candle-verify.1",
    ] {
        assert!(fixture.path("pages").join(page).is_file(), "{page}");
    }
    let train = fixture.read("pages/metal-candle-train.1");
    assert!(train.contains("early\\-stopping\\-patience"), "{train}");
}

#[cfg(unix)]
#[test]
fn completions_are_understood_by_bash() {
    let fixture = Fixture::new();
    let script = fixture.ok("completions bash").stdout;
    fixture.write("completions.sh", &script);
    let mut bash = std::process::Command::new("bash");
    let checked = bash
        .args(["-n", "completions.sh"])
        .current_dir(fixture.path(""));
    assert!(checked.status().unwrap().success());
}

#[test]
fn commands_that_are_told_can_be_typed() {
    let fixture = Fixture::new();
    let mut command = fixture.command("train --model model --data data --iters 1 --no-verify");
    let ended = command.args(["--adapter-path", "my adapter"]).output();
    let told = String::from_utf8(ended.unwrap().stderr).unwrap();
    let next = "generate --model model --adapter-path 'my adapter' --prompt";
    assert!(told.contains(next), "{told}");
}
