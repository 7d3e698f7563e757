//! Memory that is told before the first step, against what the program counts while it trains, and `--memory-limit`.

use crate::fixture::{self, Fixture, TRAIN};
use candle_core::DType;
use serde_json::{Value, json};

/// A model of more blocks than are measured, and rows whose activations are most of what is held.
fn small() -> Fixture {
    let fixture = Fixture::new();
    let mut config = fixture::config();
    config["hidden_size"] = 64.into();
    config["intermediate_size"] = 192.into();
    config["num_hidden_layers"] = 6.into();
    fixture::write_weights(&fixture.path("model"), &config, 3);
    let row = |i: usize| {
        let words = "please say it again and again ".repeat(1 + i % 4);
        json!({"text": format!("{i} {words}")}).to_string() + "\n"
    };
    fixture.write("data/train.jsonl", &(0..24).map(row).collect::<String>());
    fixture
}

/// Runs a few steps; gives the memory that was told and counted. One thread: what several hold at once depends on when
/// they get a processor, and is a tenth of what these small models take.
fn memory(fixture: &Fixture, words: &str) -> Value {
    let words = format!(
        "train --model model --data data --iters 3 --batch-size 8 --max-seq-length 64 --val-batches 0 --no-verify \
         --sample-prompts 0 --overwrite {words}"
    );
    let mut command = fixture.command(&words);
    let output = command.env("RAYON_NUM_THREADS", "1").output().unwrap();
    fixture::ended(output).check(&words, 0, &[]);
    fixture.json("adapters/report.json")["memory"].clone()
}

fn bytes(memory: &Value, name: &str) -> f64 {
    memory[name].as_f64().unwrap()
}

/// What the steps come to over what they were expected to come to.
fn ratio(memory: &Value) -> f64 {
    let parts = ["weights_bytes", "trained_bytes", "optimizer_bytes"];
    let before: f64 = parts.iter().map(|part| bytes(memory, part)).sum();
    (bytes(memory, "total_bytes") - before) / (bytes(memory, "measured_bytes") - before)
}

/// Holds the two against each other; `--nocapture` shows them.
#[allow(clippy::print_stdout)]
fn check(fixture: &Fixture, words: &str) {
    let memory = memory(fixture, words);
    let ratio = ratio(&memory);
    println!("{words:<60} {ratio:.3}");
    assert!((0.9..=1.1).contains(&ratio), "{words}: {ratio}\n{memory}");
}

#[test]
fn what_is_told_of_adapters_is_what_is_counted() {
    let fixture = small();
    for words in [
        "",
        "--rank 32",
        "--batch-size 1",
        "--max-seq-length 16",
        "--grad-checkpoint",
        "--no-packing",
        "--grad-accumulation-steps 2 --rank 64",
        // Of one block alone little is held: with fewer rows the parts that threads keep would be a tenth of it.
        "--num-layers 1 --batch-size 24",
        "--fine-tune-type dora",
        "--optimizer sgd",
    ] {
        check(&fixture, words);
    }
}

#[test]
fn what_is_told_of_all_weights_is_what_is_counted() {
    let fixture = small();
    for words in [
        "",
        "--optimizer adamw_8bit",
        "--grad-checkpoint",
        "--batch-size 1 --grad-accumulation-steps 3",
    ] {
        check(&fixture, &format!("--fine-tune-type full {words}"));
    }
}

#[test]
fn what_is_told_of_other_weights_is_what_is_counted() {
    let fixture = small();
    check(&fixture, "--load-in-4bit");
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_dtype(DType::BF16).unwrap();
        }
    });
    check(&fixture, "");
    fixture.write(
        "data/train.jsonl",
        &(0..16)
            .map(|i| {
                let (good, bad) = (format!("it is {i}"), "no ".repeat(1 + i % 5));
                json!({"prompt": format!("say {i}"), "chosen": good, "rejected": bad}).to_string()
                    + "\n"
            })
            .collect::<String>(),
    );
    check(&fixture, "--train-mode dpo --beta 0.1");
}

/// A quarter, but for the matrices of this model that are too small for eight bits.
#[test]
fn moments_of_eight_bits_take_less() {
    let fixture = small();
    let of = |optimizer: &str| {
        let words = format!("--fine-tune-type full --optimizer {optimizer}");
        bytes(&memory(&fixture, &words), "optimizer_bytes")
    };
    let share = of("adamw_8bit") / of("adamw");
    assert!((0.3..0.4).contains(&share), "{share}");
}

#[test]
fn a_run_that_takes_too_much_takes_its_steps_in_parts() {
    let fixture = small();
    let words =
        "--iters 3 --batch-size 24 --val-batches 0 --sample-prompts 0 --overwrite --memory-limit";
    let losses = || {
        let metrics = fixture.read("adapters/metrics.jsonl");
        let lines = metrics.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses = lines.filter_map(|line| line["train_loss"].as_f64());
        losses.collect::<Vec<_>>()
    };
    let stderr = fixture.train(&format!("{words} 4GB")).stderr;
    assert!(!stderr.contains("To stay within"), "{stderr}");
    let whole = losses();
    let refused = format!("{TRAIN} {words} 1MB");
    let expected = ["--memory-limit 1.00 MB: the run needs ", "--max-seq-length"];
    let stderr = fixture.fails(&refused, 2, &expected).stderr;
    assert_eq!(losses(), whole, "nothing was written");
    let (_, needs) = stderr.split_once("the run needs ").unwrap();
    let (needs, _) = needs.split_once(" MB").unwrap();
    let enough = needs.parse::<f64>().unwrap() + 6.0;
    let stderr = fixture.train(&format!("{words} {enough}MB")).stderr;
    assert!(stderr.contains("To stay within"), "{stderr}");
    let divided = fixture.json("adapters/run.json");
    let rows = divided["batch_size"].as_u64().unwrap();
    assert!(rows < 24 || divided["grad_checkpoint"] == true, "{divided}");
    assert_eq!(
        rows * divided["grad_accumulation_steps"].as_u64().unwrap(),
        24
    );
    for (got, want) in losses().iter().zip(&whole) {
        assert!((got - want).abs() < 1e-4 * want, "{got} {want}");
    }
}

#[test]
fn sizes_have_units() {
    let fixture = Fixture::new();
    for size in ["8", "GB", "-1GB", "8 apples", "0GB"] {
        let words = format!("{TRAIN} --memory-limit={}", size.replace(' ', ""));
        fixture.fails(
            &words,
            2,
            &["--memory-limit", "expected a size such as 8GB"],
        );
    }
}
