//! Losses of every report, with the file of settings that mlx_lm.lora was given.

use super::{golden, golden_json};
use crate::fixture::ended;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Largest difference of losses; the two add in another order.
const TOLERANCE: f64 = 1e-4;

/// Lines of metrics.jsonl of a training with the settings of `config`.
fn reports(config: &Value, folder: &Path) -> Vec<Value> {
    let file = folder.join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let ended = ended(
        Command::new(crate::PROGRAM)
            .args(["lora", "-c"])
            .arg(&file)
            .arg("--adapter-path")
            .arg(folder.join("adapters"))
            .current_dir(golden(""))
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    );
    assert_eq!(ended.code, Some(0), "{config}\n{}", ended.stderr);
    let metrics = std::fs::read_to_string(folder.join("adapters/metrics.jsonl")).unwrap();
    let lines = metrics.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Values of `name` in the lines that have it.
fn values(lines: &[Value], name: &str) -> Vec<f64> {
    lines
        .iter()
        .filter_map(|line| line[name].as_f64())
        .collect()
}

fn assert_close(name: &str, losses: &[f64], expected: &[f64]) {
    assert_eq!(losses.len(), expected.len(), "{name}");
    for (i, (loss, expected)) in losses.iter().zip(expected).enumerate() {
        let off = (loss - expected).abs();
        assert!(
            off <= TOLERANCE,
            "{name}, report {i}: {loss}, mlx-lm {expected}"
        );
    }
}

fn expected(case: &Value) -> Vec<f64> {
    let losses = case["losses"].as_array().unwrap().iter();
    losses.map(|loss| loss.as_f64().unwrap()).collect()
}

#[test]
fn every_loss_is_that_of_mlx_lm() {
    let cases = golden_json("cases.json");
    for (name, case) in cases.as_object().unwrap() {
        let folder = TempDir::new().unwrap();
        let lines = reports(&case["config"], folder.path());
        assert_close(name, &values(&lines, "train_loss"), &expected(case));
        if let Some(first) = case["first_val_loss"].as_f64() {
            assert_close(name, &values(&lines, "val_loss")[..1], &[first]);
        }
        let tokens = values(&lines, "trained_tokens");
        let most = tokens.iter().copied().fold(0.0, f64::max);
        assert_eq!(Some(most), case["trained_tokens"].as_f64(), "{name}");
        let run = std::fs::read_to_string(folder.path().join("adapters/run.json")).unwrap();
        let run: Value = serde_json::from_str(&run).unwrap();
        assert_eq!(run["compat"], "mlx", "{name}");
    }
}

/// What the test above compares is what mlx-lm's rules make of the files.
#[test]
fn our_own_rules_give_other_losses() {
    let cases = golden_json("cases.json");
    for name in ["adam", "mask_prompt, turns", "cosine with warm-up"] {
        let mut config = cases[name]["config"].clone();
        config["compat"] = "none".into();
        let folder = TempDir::new().unwrap();
        let lines = reports(&config, folder.path());
        let losses = values(&lines, "train_loss").into_iter();
        let differing = losses.zip(expected(&cases[name]));
        let differing = differing.filter(|(loss, expected)| (loss - expected).abs() > 0.01);
        assert!(differing.count() > 5, "{name}");
    }
}
