//! Training from pairs of completions.

use crate::fixture::{Fixture, TRAIN};
use serde_json::{Value, json};

const WEIGHTS: &str = "adapters/adapter_model.safetensors";

/// Pairs of different lengths; without a prompt of its own every completion begins with it.
fn pairs(n: usize) -> String {
    let row = |i: usize| {
        let prompt = format!("say {} {}", i, "please ".repeat(i % 4));
        json!({"prompt": prompt, "chosen": format!("{i} it is"), "rejected": "please ".repeat(1 + i % 3)})
    };
    (0..n).map(|i| row(i).to_string() + "\n").collect()
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("data/train.jsonl", &pairs(24));
    fixture.write("data/valid.jsonl", &pairs(6));
    fixture.write("data/test.jsonl", &pairs(5));
    fixture
}

fn metrics(fixture: &Fixture) -> Vec<Value> {
    let lines = fixture.read("adapters/metrics.jsonl");
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn both_methods_learn_which_completion_is_better() {
    for mode in ["dpo", "orpo"] {
        let fixture = fixture();
        let words = format!(
            "--train-mode {mode} --iters 24 --steps-per-eval 12 --val-batches -1 --train --test"
        );
        let ended = fixture.train(&words);
        for text in ["Reward accuracy", "Reward margin", "Test loss"] {
            assert!(
                ended.stdout.contains(text),
                "no {text:?} in\n{}",
                ended.stdout
            );
        }
        let lines = metrics(&fixture);
        let validations: Vec<&Value> = lines
            .iter()
            .filter(|line| line["val_loss"].is_number())
            .collect();
        assert_eq!(validations.len(), 3);
        let (first, last) = (validations[0], validations[2]);
        let number = |line: &Value, name: &str| line[name].as_f64().unwrap();
        assert!(
            number(last, "val_loss") < number(first, "val_loss"),
            "{first} {last}"
        );
        assert!(number(last, "rewards/margins") > number(first, "rewards/margins"));
        assert_eq!(number(last, "rewards/accuracies"), 1.0);
        for line in &lines {
            for name in [
                "rewards/chosen",
                "rewards/rejected",
                "logps/chosen",
                "logps/rejected",
            ] {
                assert!(line[name].is_number(), "{name} in {line}");
            }
            assert_eq!(line["nll_loss"].is_number(), mode == "orpo", "{line}");
        }
        if mode == "dpo" {
            assert!(
                (number(first, "val_loss") - 2f64.ln()).abs() < 1e-6,
                "a fresh adapter is the reference"
            );
            assert_eq!(number(first, "rewards/margins"), 0.0);
        }
        let run = fixture.json("adapters/run.json");
        assert_eq!(
            (run["train_mode"].as_str(), run["beta"].as_f64()),
            (Some(mode), Some(0.1))
        );
    }
}

#[test]
fn a_run_goes_on_to_the_bit() {
    let fixture = fixture();
    let words = "--train-mode dpo --loss-type robust --label-smoothing 0.1 --beta 0.3 --dropout 0.1 --save-every 2";
    fixture.train(&format!("{words} --iters 6 --adapter-path whole"));
    fixture.train(&format!("{words} --iters 4"));
    let ended = fixture.train(&format!("{words} --iters 2 --resume-adapter-file adapters"));
    for told in ["other settings", "without any adapter"] {
        assert!(!ended.stderr.contains(told), "{}", ended.stderr);
    }
    let (whole, parts) = (
        fixture.tensors("whole/adapter_model.safetensors"),
        fixture.tensors(WEIGHTS),
    );
    assert_eq!(whole.len(), parts.len());
    for (name, tensor) in &whole {
        let bits = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(bits(tensor), bits(&parts[name]), "{name}");
    }
    let run = fixture.json("adapters/run.json");
    let settings = [&run["loss_type"], &run["label_smoothing"], &run["beta"]];
    assert_eq!(settings, [&json!("robust"), &json!(0.1), &json!(0.3)]);
}

#[test]
fn an_adapter_of_another_training_is_not_the_reference() {
    let fixture = fixture();
    fixture.write("rows/train.jsonl", &crate::fixture::rows(8));
    fixture.train("--data rows");
    let ended =
        fixture.train("--train-mode dpo --resume-adapter-file adapters --adapter-path next");
    assert!(
        ended.stderr.contains("without any adapter"),
        "{}",
        ended.stderr
    );
    let ended =
        fixture.train("--train-mode orpo --resume-adapter-file adapters --adapter-path orpo");
    assert!(
        !ended.stderr.contains("without any adapter"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_adapter_is_tested_on_pairs() {
    let fixture = fixture();
    fixture.train("--train-mode dpo");
    let ended = fixture
        .ok("train --model model --data data --adapter-path adapters --test --train-mode dpo");
    assert!(ended.stdout.contains("Reward accuracy"), "{}", ended.stdout);
}

#[test]
fn orpo_trains_all_weights() {
    let fixture = fixture();
    fixture.train("--train-mode orpo --fine-tune-type full --rank 8 --num-layers -1");
    assert!(fixture.path("adapters/model.safetensors").exists());
}

#[test]
fn pairs_of_which_nothing_can_be_learnt_are_left_out_and_told() {
    let fixture = fixture();
    let same = json!({"prompt": "say", "chosen": "it is", "rejected": "it is"});
    let long = json!({"prompt": "say ".repeat(80), "chosen": "it is", "rejected": "please"});
    fixture.write("data/train.jsonl", &format!("{same}\n{}{long}\n", pairs(6)));
    let ended = fixture.train("--train-mode dpo");
    for text in [
        "1 row has the same tokens in both completions and is left out: line 1",
        "1 row has a prompt that leaves no room for a completion in 64 tokens and is left out: line 8",
    ] {
        assert!(
            ended.stderr.contains(text),
            "no {text:?} in\n{}",
            ended.stderr
        );
    }
    fixture.write("data/train.jsonl", &format!("{same}\n"));
    let words = format!("{TRAIN} --train-mode dpo --adapter-path none");
    fixture.fails(&words, 2, &["its only row has no token to train"]);
    fixture.assert_nothing_half_written("none");
}

#[test]
fn rows_that_do_not_fit_the_mode_are_refused() {
    let fixture = fixture();
    let expected = ["train.jsonl:2", "no \"rejected\"", "--train-mode sft"];
    let half = json!({"prompt": "say", "chosen": "it is"});
    fixture.write("data/train.jsonl", &format!("{}{half}\n", pairs(1)));
    fixture.train_fails("--train-mode dpo", 2, &expected);
    fixture.write("data/train.jsonl", &crate::fixture::rows(3));
    fixture.train_fails("--train-mode orpo", 2, &["train.jsonl:1", "no \"chosen\""]);
    fixture.write("data/train.jsonl", &pairs(3));
    fixture.train_fails(
        "",
        2,
        &[
            "train.jsonl:1",
            "\"chosen\", \"rejected\"",
            "--train-mode dpo or orpo",
        ],
    );
}

#[test]
fn options_that_do_not_fit_the_mode_are_refused() {
    let fixture = fixture();
    for (words, expected) in [
        ("--beta 0.1", "--beta: --train-mode sft has none"),
        (
            "--train-mode orpo --loss-type ipo",
            "--loss-type: --train-mode orpo has none",
        ),
        (
            "--train-mode orpo --label-smoothing 0.1",
            "--label-smoothing: --train-mode orpo has none",
        ),
        (
            "--train-mode dpo --fine-tune-type full --num-layers -1",
            "--fine-tune-type full has none",
        ),
        ("--train-mode dpo --compat mlx", "it has no preferences"),
        ("--train-mode dpo --beta 0", "--beta"),
        (
            "--train-mode dpo --loss-type kto",
            "possible values: sigmoid, robust, hinge, ipo",
        ),
        (
            "--train-mode dpo --label-smoothing 0.5",
            "label_smoothing must be 0 or more and less than 0.5",
        ),
        (
            "--train-mode dpo --loss-type ipo --label-smoothing 0.1",
            "must be 0 with the losses hinge and ipo",
        ),
    ] {
        fixture.train_fails(words, 2, &[expected]);
    }
}

#[test]
fn tokens_of_both_completions_are_counted() {
    let fixture = fixture();
    let told = fixture.train("--train-mode orpo --iters 1").stderr;
    let shown = fixture.ok_json("inspect --model model --data data --json");
    let [train, row] = [&shown["splits"][0], &shown["row"]];
    let counted = format!(
        "24 rows, {} tokens, {} with",
        train["tokens"], train["trained_tokens"]
    );
    assert!(told.contains(&counted), "{counted}\n{told}");
    let marks = row["trained"].as_array().unwrap().iter();
    let n_marked = marks.filter(|mark| **mark == true).count();
    assert_eq!(row["trained_tokens"], n_marked);
}
