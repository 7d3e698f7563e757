//! What a run leaves in its folder, and what it refuses to spoil.

use crate::fixture::{Fixture, TRAIN, ended};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const WEIGHTS: &str = "adapter_model.safetensors";

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn bytes(fixture: &Fixture, name: &str) -> Vec<u8> {
    std::fs::read(fixture.path(name)).unwrap()
}

/// Every number that is saved anywhere below `folder` is finite.
fn assert_finite(fixture: &Fixture, folder: &str) {
    for name in names(&fixture.path(folder)) {
        let path = format!("{folder}/{name}");
        if fixture.path(&path).is_dir() {
            assert_finite(fixture, &path);
        } else if name.ends_with(".safetensors") {
            for (tensor, values) in fixture.tensors(&path) {
                let values = values.to_dtype(candle_core::DType::F64).unwrap();
                let values: Vec<f64> = values.flatten_all().unwrap().to_vec1().unwrap();
                assert!(values.iter().all(|v| v.is_finite()), "{path}: {tensor}");
            }
        }
    }
}

#[test]
fn a_checkpoint_is_one_folder_and_the_adapter_is_its_own() {
    let fixture = Fixture::new();
    fixture.train("--save-every 3");
    let parts = ["adapter_config.json", WEIGHTS, "run.json"];
    let whole = [&parts[..], &["checkpoint.json", "optimizer.safetensors"]].concat();
    for checkpoint in ["checkpoint-3", "checkpoint-4"] {
        let got = names(&fixture.path("adapters").join(checkpoint));
        assert_eq!(got, whole.iter().map(|name| name.to_string()).collect());
    }
    let others = [
        "checkpoint-3",
        "checkpoint-4",
        "metrics.jsonl",
        "report.html",
        "report.json",
    ];
    let outside = [&parts[..], &others].concat();
    let got = names(&fixture.path("adapters"));
    assert_eq!(got, outside.iter().map(|name| name.to_string()).collect());
    for part in parts {
        let newest = bytes(&fixture, &format!("adapters/checkpoint-4/{part}"));
        assert_eq!(bytes(&fixture, &format!("adapters/{part}")), newest);
    }
    assert_eq!(
        fixture.json("adapters/checkpoint-4/checkpoint.json")["step"],
        4
    );
    let settings = fixture.json("adapters/run.json");
    assert_eq!(
        (&settings["learning_rate"], &settings["train_rows"]),
        (&json!(1e-2), &json!(24))
    );
}

#[test]
fn a_run_from_any_checkpoint_ends_the_same_to_the_bit() {
    let fixture = Fixture::new();
    fixture.train("--iters 5 --save-every 1 --dropout 0.1");
    let files = [WEIGHTS, "optimizer.safetensors"].map(|name| format!("checkpoint-5/{name}"));
    let whole = files
        .each_ref()
        .map(|name| bytes(&fixture, &format!("adapters/{name}")));
    for (from, left) in [("adapters/checkpoint-2", 3), ("adapters/checkpoint-4", 1)] {
        let words =
            format!("--resume-adapter-file {from} --iters {left} --adapter-path other --overwrite");
        let told = fixture.train(&words).stderr;
        assert!(!told.contains("other settings"), "{told}");
        let parts = files
            .each_ref()
            .map(|name| bytes(&fixture, &format!("other/{name}")));
        assert!(whole == parts, "{from}");
    }
}

#[test]
fn going_back_to_an_earlier_checkpoint_leaves_no_later_one() {
    let fixture = Fixture::new();
    fixture.train("--iters 5 --save-every 1");
    let told = fixture
        .train("--resume-adapter-file adapters/checkpoint-2 --iters 1 --seed 3")
        .stderr;
    assert!(
        told.contains("other settings than before: seed 0 -> 3"),
        "{told}"
    );
    let left = names(&fixture.path("adapters"));
    let checkpoints: Vec<&String> = left
        .iter()
        .filter(|name| name.starts_with("checkpoint"))
        .collect();
    assert_eq!(
        checkpoints,
        ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    );
    let metrics = fixture.read("adapters/metrics.jsonl");
    let steps = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(
        steps.filter_map(|line| line["step"].as_u64()).max(),
        Some(3)
    );
}

#[test]
fn parts_that_were_not_saved_together_are_refused() {
    let fixture = Fixture::new();
    fixture.train("--save-every 2");
    let resume = |from: &str, code: i32, expected: &[&str]| {
        let words = format!("{TRAIN} --resume-adapter-file {from} --adapter-path other");
        fixture.fails(&words, code, expected);
        assert!(!fixture.path("other").exists());
    };
    let copy = |from: &str, to: &str| std::fs::copy(fixture.path(from), fixture.path(to)).unwrap();
    copy("adapters/checkpoint-2/optimizer.safetensors", "optimizer");
    copy(
        "adapters/checkpoint-4/optimizer.safetensors",
        "adapters/checkpoint-2/optimizer.safetensors",
    );
    let expected = [
        "checkpoint-2: optimizer.safetensors is not the file that was saved",
        "expected the SHA-256",
    ];
    resume("adapters/checkpoint-2", 1, &expected);
    std::fs::remove_file(fixture.path("adapters/checkpoint-2/optimizer.safetensors")).unwrap();
    resume(
        "adapters/checkpoint-2",
        1,
        &["optimizer.safetensors is missing"],
    );
    copy("optimizer", "adapters/checkpoint-2/optimizer.safetensors");
    fixture.train("--resume-adapter-file adapters/checkpoint-2 --adapter-path other --iters 1");
    std::fs::remove_dir_all(fixture.path("other")).unwrap();
    // An adapter of another run.
    fixture.train("--seed 9 --adapter-path ninth");
    std::fs::remove_file(fixture.path(&format!("adapters/{WEIGHTS}"))).unwrap();
    copy(&format!("ninth/{WEIGHTS}"), &format!("adapters/{WEIGHTS}"));
    let stray = [
        "that of none of the checkpoints",
        "adapters/checkpoint-4 goes on",
    ];
    resume("adapters", 2, &stray);
    // The right tensors with other settings.
    copy(
        &format!("adapters/checkpoint-4/{WEIGHTS}"),
        &format!("adapters/{WEIGHTS}"),
    );
    fixture.edit("adapters/adapter_config.json", |config| {
        config["lora_alpha"] = 1.into()
    });
    resume("adapters", 2, &stray);
}

#[test]
fn states_that_no_optimizer_comes_to_are_refused() {
    let fixture = Fixture::new();
    fixture.train("");
    let state = "adapters/checkpoint-4/optimizer.safetensors";
    let good = bytes(&fixture, state);
    let first = "model.layers.0.self_attn.q_proj.lora_A.weight.first";
    let second = "model.layers.0.self_attn.q_proj.lora_A.weight.second";
    let cases = [
        (first, f32::NAN),
        (first, f32::INFINITY),
        (second, -1e-9),
        (second, f32::NAN),
    ];
    for (name, value) in cases {
        fixture.edit_tensors(state, |tensors| {
            let old = &tensors[name];
            let new = candle_core::Tensor::full(value, old.shape(), old.device()).unwrap();
            tensors.insert(name.into(), new);
        });
        refused(&fixture, state, name);
        std::fs::write(fixture.path(state), &good).unwrap();
    }
    for steps in [-1i64, i64::MAX] {
        fixture.edit_tensors(state, |tensors| {
            let new = candle_core::Tensor::new(steps, &candle_core::Device::Cpu).unwrap();
            tensors.insert("step".into(), new);
        });
        refused(&fixture, state, &format!("got {steps}"));
    }
}

/// Resuming from a changed `state`, its hash brought up to date, fails and says `expected`.
fn refused(fixture: &Fixture, state: &str, expected: &str) {
    let hash = metal_candle::files::sha256(&fixture.path(state)).unwrap();
    fixture.edit("adapters/checkpoint-4/checkpoint.json", |record| {
        record["files"]["optimizer.safetensors"] = hash.into();
    });
    let words = format!("{TRAIN} --resume-adapter-file adapters --adapter-path other");
    fixture.fails(&words, 1, &[expected, "the checkpoint is damaged"]);
    assert!(!fixture.path("other").exists());
}

#[test]
fn an_update_that_ruins_the_adapter_is_never_saved() {
    for ruin in [
        "--learning-rate 1e39",
        "--weight-decay 1e308",
        "--eps 1e-320",
    ] {
        for more in [
            "--iters 1",
            "--iters 1 --val-batches 0",
            "--iters 3 --save-every 1",
        ] {
            let fixture = Fixture::new();
            let words = format!("{TRAIN} {ruin} --max-grad-norm 0 {more}");
            fixture.fails(&words, 1, &["is not finite", "the last good parameters"]);
            assert_finite(&fixture, "adapters");
            fixture.ok("perplexity --model model --adapter-path adapters --data data/valid.jsonl");
        }
    }
}

#[test]
fn a_folder_of_another_run_is_left_alone() {
    let fixture = Fixture::new();
    fixture.train("--save-every 2");
    let before = bytes(&fixture, &format!("adapters/{WEIGHTS}"));
    let expected = [
        "adapters holds an adapter",
        "--overwrite replaces it",
        "--resume-adapter-file adapters",
    ];
    fixture.fails(&format!("{TRAIN} --seed 1"), 2, &expected);
    assert_eq!(before, bytes(&fixture, &format!("adapters/{WEIGHTS}")));
    // A run that fails before its first save replaces nothing either.
    fixture.write("data/valid.jsonl", "{\"text\": 1}\n");
    fixture.fails(&format!("{TRAIN} --overwrite"), 2, &["valid.jsonl"]);
    assert_eq!(before, bytes(&fixture, &format!("adapters/{WEIGHTS}")));
    fixture.train("--overwrite --seed 1 --iters 3 --val-batches 0");
    assert_ne!(before, bytes(&fixture, &format!("adapters/{WEIGHTS}")));
    let left = names(&fixture.path("adapters"));
    let expected = [
        "adapter_config.json",
        WEIGHTS,
        "checkpoint-3",
        "metrics.jsonl",
        "report.html",
        "report.json",
        "run.json",
    ];
    assert_eq!(left, expected.iter().map(|name| name.to_string()).collect());
}

#[test]
fn test_without_train_only_evaluates() {
    let fixture = Fixture::new();
    fixture.write("data/test.jsonl", &crate::fixture::rows(5));
    fixture.train("");
    let before = names(&fixture.path("adapters"));
    let metrics = fixture.read("adapters/metrics.jsonl");
    let tested = fixture.train("--test").stdout;
    assert!(
        tested.contains("Test loss ") && !tested.contains("Train loss"),
        "{tested}"
    );
    fixture.write(
        "test.yaml",
        "compat: none\nmodel: model\ndata: data\ntrain: false\ntest: true\n",
    );
    assert_eq!(
        fixture.ok("train -c test.yaml --max-seq-length 64").stdout,
        tested
    );
    assert_eq!(before, names(&fixture.path("adapters")));
    assert_eq!(metrics, fixture.read("adapters/metrics.jsonl"));
    fixture.write("nothing.yaml", "model: model\ndata: data\ntrain: false\n");
    fixture.fails("train -c nothing.yaml", 2, &["nothing to do"]);
    fixture.fails(
        &format!("{TRAIN} --test --adapter-path none"),
        2,
        &["no adapter at none"],
    );
}

#[test]
fn litter_of_a_killed_run_is_removed() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    fixture.write(
        "adapters/.tmp-checkpoint-2/adapter_model.safetensors",
        "half",
    );
    fixture.write("adapters/.tmp-abc", "half");
    fixture.train("--resume-adapter-file adapters --iters 1");
    let left = names(&fixture.path("adapters"));
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[cfg(unix)]
#[test]
fn two_runs_do_not_write_into_one_folder() {
    use std::process::Stdio;
    let fixture = Fixture::new();
    let words = format!("{TRAIN} --iters 10000000 --steps-per-report 1 --save-every 1");
    let mut first = fixture
        .command(&words)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !fixture.path(&format!("adapters/{WEIGHTS}")).exists() {
        assert!(first.try_wait().unwrap().is_none(), "ended early");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for more in ["--overwrite", "--resume-adapter-file adapters", ""] {
        fixture.fails(
            &format!("{TRAIN} {more}"),
            2,
            &["another run is writing into adapters"],
        );
    }
    first.kill().unwrap();
    first.wait().unwrap();
    fixture.train("--resume-adapter-file adapters --iters 1");
}

#[cfg(unix)]
#[test]
fn a_signal_is_heard_while_a_model_is_evaluated() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let fixture = Fixture::new();
    fixture.write("data/valid.jsonl", &crate::fixture::rows(20_000));
    let words = format!("{TRAIN} --val-batches -1 --batch-size 1");
    let mut command = fixture.command(&words);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let began = Instant::now();
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ended = ended(child.wait_with_output().unwrap());
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(!fixture.path("adapters/adapter_model.safetensors").exists());
}
