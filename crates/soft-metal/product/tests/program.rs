//! The program with `--device metal` does what it does with `--device cpu`. It fails by itself if a rule is broken.

#[allow(dead_code)]
#[rustfmt::skip] // formatted in its own workspace
#[path = "../../../cli/tests/cli/fixture.rs"]
mod fixture;

use fixture::Fixture;
use soft_metal as _; // candle's backend is linked here too

#[test]
fn generation_gives_the_same_tokens() {
    let fixture = Fixture::new();
    let tokens = |device: &str| {
        let words = format!("generate --model model --max-tokens 8 --json -p hello --device {device}");
        fixture.ok_json(&words)["token_ids"].clone()
    };
    assert_eq!(tokens("metal"), tokens("cpu"));
    assert_eq!(tokens("metal:0"), tokens("cpu"));
}

#[test]
fn training_gives_the_same_losses_and_adapter() {
    let fixture = Fixture::new();
    let losses = |device: &str| {
        fixture.train(&format!("--iters 2 --steps-per-report 1 --adapter-path {device} --device {device}"));
        let lines = fixture.read(&format!("{device}/metrics.jsonl"));
        let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        values.filter_map(|line| line["train_loss"].as_f64()).collect::<Vec<_>>()
    };
    let (metal, cpu) = (losses("metal"), losses("cpu"));
    assert_eq!((metal.len(), cpu.len()), (2, 2));
    assert!(metal.iter().zip(&cpu).all(|(a, b)| (a - b).abs() < 1e-4), "{metal:?} {cpu:?}");
    let [metal, cpu] = ["metal", "cpu"].map(|d| fixture.tensors(&format!("{d}/adapter_model.safetensors")));
    for (name, want) in cpu {
        let difference = (&metal[&name] - want).unwrap().abs().unwrap().max_all().unwrap();
        assert!(difference.to_scalar::<f32>().unwrap() < 1e-3, "{name}");
    }
}

#[test]
fn operations_are_measured_beside_candle_and_the_engines() {
    let fixture = Fixture::new();
    let words =
        "bench ops --device metal --filter matmul+1x896x896+f32+Qwen2.5-0.5B --seconds 0 --rounds 1 --runs-per-wait 2 --json";
    let words: Vec<String> = words.split(' ').map(|word| word.replace('+', " ")).collect();
    let output = fixture.command("").args(words).output().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["machine"]["gpu"], "applegpu_g13g");
    let ceiling = &record["ceilings"][0];
    assert!(ceiling["wait_secs"].as_f64().unwrap() > 0.0 && ceiling["threads"].is_null());
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!(row["runs_per_wait"], 2);
        for rival in ["candle", "steel", "mps-ndarray", "mps-matrix"] {
            assert!(row["rivals"][rival]["spread"]["median_secs"].as_f64().unwrap() > 0.0, "{rival} in {row}");
        }
    }
    assert!(rows[2]["ours"]["peak_bytes"].as_u64().unwrap() >= 4 * 896 * 896);
}

#[test]
fn training_and_generation_are_measured() {
    let fixture = Fixture::new();
    let mut command = fixture.command("bench train --device metal --dtype f32 --steps 1 --one");
    let output = command.arg("16 1 2 1 24 32 8 2").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["secs"]["step"][""].as_array().unwrap().len(), 1);
    assert_eq!(answer["peak_bytes"], serde_json::json!({}), "a GPU does not tell");
}

/// What was measured is kept, shown, taken up, and refused where it is of another machine.
#[test]
fn measurements_are_shown_and_checked() {
    let fixture = Fixture::new();
    let gpu = || fixture.ok_json("doctor --json")["gpus"][0].clone();
    let before = gpu();
    assert_eq!(before["engines"].as_array().unwrap().len(), 4, "{before}");
    assert!(before["calibration"]["products"].is_null() && before["calibration"]["ignored"].is_null());
    let path = before["calibration"]["path"].as_str().unwrap().to_owned();
    let reason = |gpu: &serde_json::Value| gpu["choices"][3]["reason"].as_str().unwrap().to_owned();
    assert!(reason(&before).contains("has not been measured"), "{before}");

    std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
    let file = |system: &str| {
        let key = serde_json::json!({
            "schema": 1, "crate_version": env!("CARGO_PKG_VERSION"), "candle_version": "0.11.1",
            "architecture": before["architecture"], "gpu": before["name"], "macos_build": system, "strategy": "FenceBridge",
        });
        let cells = serde_json::json!([]);
        let litmus = serde_json::json!({"rounds": 8, "failures": 0});
        let text = serde_json::json!({"key": key, "litmus": litmus, "overhead_micros": 12.0, "cells": cells});
        std::fs::write(&path, text.to_string()).unwrap();
    };
    let macos = before["macos"].as_str().unwrap();
    let (_, system) = macos.split_once('(').unwrap();
    file(system.strip_suffix(')').unwrap());
    let calibrated = gpu();
    assert_eq!(calibrated["calibration"]["products"], 0, "{calibrated}");
    assert!(calibrated["strategy"].as_str().unwrap().contains("FenceBridge: passed"), "{calibrated}");
    assert!(reason(&calibrated).contains("no measurement of such products"), "{calibrated}");

    file("another system");
    let ended = fixture.ok("doctor");
    assert!(ended.stdout.contains("not used: measured for"), "{}", ended.stdout);
    assert!(ended.stderr.contains("calibrate` measures anew"), "{}", ended.stderr);
}

#[test]
fn a_gpu_that_is_not_there_is_an_input_error() {
    let fixture = Fixture::new();
    fixture.fails("generate --model model -p hello --device metal:7", 2, &["--device metal:7", "1 Apple GPUs"]);
    fixture.fails("generate --model model -p hello --device cuda", 2, &["this build has cpu and metal"]);
}
