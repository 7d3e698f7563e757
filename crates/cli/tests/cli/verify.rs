//! Checks of adapters, as a command and at the end of a training.

use crate::fixture::{Fixture, rows};
use serde_json::{Value, json};

const WEIGHTS: &str = "adapters/adapter_model.safetensors";
const VERIFY: &str =
    "verify --model model --adapter-path adapters --data data/valid.jsonl --mask-prompt";

/// Names of the checks with what they came to.
fn outcomes(report: &Value) -> Vec<(String, String)> {
    let checks = report["checks"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    checks
        .map(|check| (text(&check["name"]), text(&check["outcome"])))
        .collect()
}

/// Names of the checks that fail.
fn failing(fixture: &Fixture, words: &str) -> Vec<String> {
    let ended = fixture.run(&format!("{words} --json"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["passed"], false);
    let failed = outcomes(&report).into_iter();
    let failed = failed.filter(|(_, outcome)| outcome == "failed");
    failed.map(|(name, _)| name).collect()
}

#[test]
fn a_training_ends_with_checks_that_verify_repeats() {
    let fixture = Fixture::new();
    let trained = fixture.train("--mask-prompt").stdout;
    for text in [
        "gradients  passed",
        "output     passed",
        "merge      passed",
        "mask       passed",
        "file       passed",
        "checkpoint-4",
        "All 5 checks passed",
    ] {
        assert!(trained.contains(text), "no {text:?} in\n{trained}");
    }
    let verified = fixture.ok(VERIFY).stdout;
    assert!(verified.contains("All 5 checks passed"), "{verified}");
    assert!(verified.contains("0 it is<|im_end|>"), "{verified}");
    let report = fixture.ok_json(&format!("{VERIFY} --json"));
    assert_eq!(report["passed"], true);
    assert_eq!(report["checks"][0]["figures"]["tensors"], 2 * 7 * 2);
    assert_eq!(report["checks"][2]["figures"]["layers"], 2 * 7);
    assert_eq!(report["checks"][3]["figures"]["rows"], 6);
    let without_rows = fixture.ok_json("verify --model model --adapter-path adapters --json");
    let expected = ["passed", "passed", "passed", "skipped", "passed"];
    let got = outcomes(&without_rows)
        .into_iter()
        .map(|(_, outcome)| outcome);
    assert_eq!(Vec::from_iter(got), expected);
}

#[test]
fn every_kind_of_training_passes() {
    let fixture = Fixture::new();
    let others = [
        "--fine-tune-type dora",
        "--targets q_proj,embed_tokens,lm_head",
        "--modules-to-save lm_head",
        "--dropout 0.2 --packing --grad-checkpoint",
        "--fine-tune-type dora --targets embed_tokens",
    ];
    for words in others {
        let trained = fixture.train(&format!("{words} --overwrite")).stdout;
        assert!(
            trained.contains("All 5 checks passed"),
            "{words}\n{trained}"
        );
        fixture.ok(VERIFY);
    }
    let full =
        "train --model model --data data --fine-tune-type full --iters 2 --adapter-path full";
    let trained = fixture.ok(full).stdout;
    assert!(trained.contains("3 checks passed"), "{trained}");
    assert!(trained.contains("2 left out"), "{trained}");
}

#[test]
fn checks_can_be_left_out() {
    let fixture = Fixture::new();
    let trained = fixture.train("--no-verify").stdout;
    assert!(!trained.contains("passed"), "{trained}");
}

#[test]
fn an_adapter_that_changes_nothing_is_told_at_the_end_of_its_training() {
    let fixture = Fixture::new();
    let ended = fixture.train("--learning-rate 0");
    assert!(
        ended.stdout.contains("output     FAILED"),
        "{}",
        ended.stdout
    );
    let warning = "warning: the adapter changes nothing";
    assert!(ended.stderr.contains(warning), "{}", ended.stderr);
    assert_eq!(failing(&fixture, VERIFY), ["output"]);
    assert!(fixture.path(WEIGHTS).exists());
}

#[test]
fn an_adapter_of_zeros_is_told() {
    let fixture = Fixture::new();
    fixture.train("");
    std::fs::remove_dir_all(fixture.path("adapters/checkpoint-4")).unwrap();
    fixture.edit_tensors(WEIGHTS, |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.zeros_like().unwrap();
        }
    });
    assert_eq!(failing(&fixture, VERIFY), ["gradients", "output"]);
}

#[test]
fn a_file_that_was_changed_after_the_training_is_told() {
    let fixture = Fixture::new();
    fixture.train("");
    let good = std::fs::read(fixture.path(WEIGHTS)).unwrap();
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(fixture.path(WEIGHTS), bytes).unwrap();
    assert_eq!(failing(&fixture, VERIFY), ["file"]);
    std::fs::write(fixture.path(WEIGHTS), good).unwrap();
    fixture.ok(VERIFY);
    fixture.edit("adapters/adapter_config.json", |config| {
        config["lora_alpha"] = 1.into();
    });
    assert_eq!(failing(&fixture, VERIFY), ["file"]);
}

#[test]
fn rows_of_which_nothing_is_trained_are_refused_before_the_checks() {
    let fixture = Fixture::new();
    fixture.train("");
    let row = json!({"messages": [{"role": "user", "content": "hello"}]}).to_string();
    fixture.write("row.jsonl", &row);
    let words = "verify --model model --adapter-path adapters --data row.jsonl --mask-prompt";
    fixture.fails(words, 2, &["row.jsonl"]);
    fixture.fails(
        "verify --model model --adapter-path none",
        2,
        &["no adapter at none"],
    );
}

#[test]
fn packed_bases_are_checked_as_the_numbers_they_stand_for() {
    let fixture = Fixture::new();
    let mut config = crate::fixture::config();
    config["hidden_size"] = 64.into();
    config["intermediate_size"] = 128.into();
    config["head_dim"] = 16.into();
    crate::fixture::write_weights(&fixture.path("model"), &config, 3);
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_dtype(candle_core::DType::BF16).unwrap();
        }
    });
    fixture.edit("model/config.json", |config| {
        config["dtype"] = "bfloat16".into()
    });
    for format in ["nf4", "affine"] {
        let four = format!("--load-in-4bit={format}");
        let trained = fixture.train(&format!("{four} --overwrite")).stdout;
        assert!(trained.contains("All 5 checks passed"), "{trained}");
        let report = fixture.ok_json(&format!("{VERIFY} {four} --json"));
        assert_eq!(report["checks"][2]["figures"]["packed"], 2 * 7, "{report}");
    }
    // The same adapter over the dense base: what rounding the merged weights to bf16 loses is told.
    let report = fixture.ok_json(&format!("{VERIFY} --json"));
    let figures = &report["checks"][2]["figures"];
    assert_eq!(
        (&figures["packed"], &figures["dtype"]),
        (&json!(0), &json!("bf16"))
    );
    assert!(figures["lost"].as_f64().unwrap() > 0.0, "{figures}");
}

#[test]
fn rows_of_one_token_do_for_a_training() {
    let fixture = Fixture::new();
    let trained = fixture.train("--max-seq-length 2").stdout;
    assert!(trained.contains("All 5 checks passed"), "{trained}");
}

#[test]
fn long_rows_are_cut_to_what_is_trained() {
    let fixture = Fixture::new();
    let long = json!({"prompt": "please ".repeat(10), "completion": "it is"}).to_string() + "\n";
    fixture.write("data/train.jsonl", &(long.clone() + &rows(3)));
    fixture.write("data/valid.jsonl", &long);
    let trained = fixture.train("--mask-prompt --max-seq-length 96").stdout;
    assert!(trained.contains("All 5 checks passed"), "{trained}");
}

#[test]
fn rows_are_found_as_for_a_training() {
    let fixture = Fixture::new();
    fixture.train("");
    fixture.write("pairs.csv", "ask,say\n1,1 it is\n2,2 it is\n");
    let words = "verify --model model --adapter-path adapters --mask-prompt --quick --json";
    let named = format!("{words} --data pairs.csv --prompt-key ask --completion-key say");
    assert_eq!(fixture.ok_json(&named)["checks"][3]["figures"]["rows"], 2);
    let pair = r#"{"prompt": "1", "chosen": "1 it is", "rejected": "please"}"#;
    fixture.write("preferred.jsonl", pair);
    let preferred = fixture.ok_json(&format!("{words} --data preferred.jsonl"));
    assert_eq!(preferred["checks"][3]["outcome"], "passed");
}
