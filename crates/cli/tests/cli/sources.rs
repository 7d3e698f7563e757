//! `--data`: what it may be, what is held out, and `inspect` on it.

use crate::fixture::{Fixture, TRAIN, ended, rows};
use crate::shapes::packed;
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

#[test]
fn epochs_stand_beside_iterations() {
    let fixture = Fixture::new();
    // 24 rows, four a step.
    let stdout = fixture.train("--num-epochs 2").stdout;
    assert!(stdout.contains("Trained 12 steps"), "{stdout}");
    let stdout = fixture.train("--num-epochs 2 --iters 3 --overwrite").stdout;
    assert!(stdout.contains("Trained 3 steps"), "{stdout}");
    fixture.fails(
        &format!("{TRAIN} --num-epochs 0"),
        2,
        &["--num-epochs", "above 0"],
    );
    fixture.write(
        "lora.yaml",
        "model: model\ndata: data\nnum_epochs: 0.5\nbatch_size: 4\n",
    );
    let stdout = fixture.ok("train -c lora.yaml --overwrite").stdout;
    assert!(stdout.contains("Trained 3 steps"), "{stdout}");
}

#[test]
fn lists_of_several_splits_are_not_left_out_beside_other_files() {
    let fixture = Fixture::new();
    let list: Vec<Value> = rows(4)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lists = serde_json::json!({"train": list, "validation": list});
    std::fs::create_dir(fixture.path("many")).unwrap();
    fixture.write("many/train.json", &lists.to_string());
    fixture.write("many/test.jsonl", &rows(2));
    fixture.fails(
        &format!("{TRAIN} --data many"),
        2,
        &["train.json", "lists of several splits", "this file alone"],
    );
    fixture.train("--data many/train.json --iters 1");
}

#[test]
fn the_same_rows_are_held_out_in_every_run() {
    let fixture = Fixture::new();
    fixture.write("rows.jsonl", &rows(24));
    let loss = |words: &str| {
        fixture.train(&format!(
            "--data rows.jsonl --overwrite --iters 1 --val-batches -1 {words}"
        ));
        let lines = fixture.read("adapters/metrics.jsonl");
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        first["val_loss"].as_f64()
    };
    let first = loss("--valid-split 0.25");
    assert!(first.is_some());
    assert_eq!(loss("--valid-split 0.25 --seed 7"), first);
    fixture.write(
        "rows.jsonl",
        &rows(24)
            .lines()
            .rev()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    );
    let again = loss("--valid-split 0.25").unwrap();
    assert!((again - first.unwrap()).abs() < 1e-6, "{again} {first:?}");
    assert_eq!(loss("--valid-split 0"), None);
    fixture.fails(
        &format!("{TRAIN} --valid-split 0.1 --overwrite"),
        2,
        &["validation rows already", "leave --valid-split out"],
    );
}

#[test]
fn files_of_a_folder_are_found_by_name_in_any_container() {
    let fixture = Fixture::new();
    std::fs::remove_dir_all(fixture.path("data")).unwrap();
    fixture.write("data/train.csv", "prompt,completion\na,b\nc,d\n");
    fixture.write("data/dev.json", r#"[{"prompt": "e", "completion": "f"}]"#);
    fixture.write("data/test.tsv", "prompt\tcompletion\ng\th\n");
    let ended = fixture.train("--train --test --iters 1");
    for part in ["train 2 rows", "valid 1 row", "test 1 row"] {
        assert!(ended.stderr.contains(part), "{part}\n{}", ended.stderr);
    }
    fixture.write("data/train.json", "[]");
    fixture.fails(
        &format!("{TRAIN} --overwrite"),
        2,
        &[
            "several files may be the train data",
            "train.csv",
            "train.json",
        ],
    );
}

#[test]
fn columns_that_can_be_read_in_several_ways_ask_for_one() {
    let fixture = Fixture::new();
    fixture.write(
        "alpaca.json",
        r#"[{"instruction": "a", "input": "", "output": "b", "text": "c"}]"#,
    );
    fixture.train_fails(
        "--data alpaca.json",
        2,
        &[
            "alpaca.json, row 1:",
            "--prompt-key instruction --completion-key output",
            "--text-key text",
        ],
    );
    let shown = |options: &str| {
        let words = format!("inspect --model model --data alpaca.json --row 1 {options}");
        fixture.ok(&words).stdout
    };
    assert!(
        shown("--text-key text").starts_with("c⟦<|im_end|>⟧"),
        "{}",
        shown("--text-key text")
    );
    assert!(shown("--completion-key output").contains("user\na<|im_end|>"));
    let words = "inspect --model model --data alpaca.json --row 1 --text-key body";
    fixture.fails(
        words,
        2,
        &["alpaca.json, row 1: no \"body\"", "\"instruction\""],
    );
}

#[test]
fn preference_rows_say_how_the_chosen_answers_are_trained() {
    let fixture = Fixture::new();
    fixture.write(
        "pairs.jsonl",
        "{\"prompt\": \"p\", \"chosen\": \"c\", \"rejected\": \"r\"}\n",
    );
    fixture.train_fails(
        "--data pairs.jsonl",
        2,
        &["pairs.jsonl:1:", "DPO", "--completion-key chosen"],
    );
    let words =
        "inspect --model model --data pairs.jsonl --row 1 --mask-prompt --completion-key chosen";
    let stdout = fixture.ok(words).stdout;
    assert!(
        stdout.contains("user\np<|im_end|>") && stdout.contains("⟦c<|im_end|>⟧"),
        "{stdout}"
    );
}

#[test]
fn inspect_tells_data_in_figures() {
    let fixture = Fixture::new();
    let twice = format!("{}{}", rows(6), rows(1));
    fixture.write("data/train.jsonl", &twice);
    fixture.write("data/valid.jsonl", &rows(2));
    let words = "inspect --model model --data data --mask-prompt --max-seq-length 20";
    let answer = fixture.ok_json(&format!("{words} --json"));
    let [train, valid] = [&answer["splits"][0], &answer["splits"][1]];
    assert_eq!(answer["shape"], "prompt/completion");
    assert_eq!(
        (&train["split"], &train["rows"], &train["duplicates"]),
        (&"train".into(), &7.into(), &1.into())
    );
    assert_eq!((&valid["rows"], &valid["in_train"]), (&2.into(), &2.into()));
    assert_eq!(answer["row"]["line"], 1);
    let length = |line: usize| {
        let words = format!("inspect --model model --data data/train.jsonl --row {line} --json");
        fixture.ok_json(&words)["tokens"].as_u64().unwrap()
    };
    let mut lengths: Vec<u64> = (1..=7).map(length).collect();
    lengths.sort_unstable();
    assert_eq!(train["lengths"]["min"], lengths[0]);
    assert_eq!(train["lengths"]["p50"], lengths[3]);
    assert_eq!(train["lengths"]["max"], lengths[6]);
    let cut: Vec<u64> = lengths.iter().filter(|n| **n > 20).copied().collect();
    assert!(!cut.is_empty());
    assert_eq!(train["truncated_rows"], cut.len());
    assert_eq!(
        train["truncated_tokens"],
        cut.iter().map(|n| n - 20).sum::<u64>()
    );
    let stdout = fixture.ok(words).stdout;
    for text in [
        "⟦0 it is<|im_end|>⟧",
        "data: prompt/completion (prompt, completion)",
        "train  7 rows",
        "1 row says what an earlier row says",
        "2 rows are in the rows to train on as well",
        "longer than 20 tokens",
        "50 % up to",
    ] {
        assert!(stdout.contains(text), "no {text:?} in\n{stdout}");
    }
}

#[test]
fn every_command_reads_every_container() {
    let fixture = Fixture::new();
    let loss = |data: &str| {
        fixture.ok_json(&format!("perplexity --model model --data {data} --json"))["loss"].clone()
    };
    let expected = loss("data/valid.jsonl");
    std::fs::write(fixture.path("valid.jsonl.gz"), packed(&rows(6))).unwrap();
    assert_eq!(loss("valid.jsonl.gz"), expected);
    let list: Vec<Value> = rows(6)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    fixture.write("valid.json", &Value::from(list).to_string());
    assert_eq!(loss("valid.json"), expected);
    let mut command = fixture.command("perplexity --model model --data - --json");
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(rows(6).as_bytes())
        .unwrap();
    let ended = ended(child.wait_with_output().unwrap());
    ended.check("standard input", 0, &[]);
    assert_eq!(
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["loss"],
        expected
    );
}

#[test]
fn a_file_of_mlx_lm_names_columns() {
    let fixture = Fixture::new();
    let row =
        |i: usize| format!("{{\"question\": \"say {i}\", \"reply\": \"{i}\", \"text\": \"t\"}}\n");
    fixture.write("rows/train.jsonl", &(0..4).map(row).collect::<String>());
    let features = "prompt_feature: question\ncompletion_feature: reply\nchat_feature: null\n";
    let yaml =
        format!("model: model\ndata: rows\ntrain: true\niters: 1\nbatch_size: 2\n{features}");
    fixture.write("lora.yaml", &yaml);
    let ended = fixture.ok("train -c lora.yaml --val-batches 0 --no-verify");
    let told = "question/reply (question, reply): train 4 rows";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}
