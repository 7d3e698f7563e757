//! The program with `--device metal` does what it does with `--device cpu`. It fails by itself if a rule is broken.

#[allow(dead_code)]
#[rustfmt::skip] // formatted in its own workspace
#[path = "../../../cli/tests/cli/fixture.rs"]
mod fixture;

use fixture::Fixture;
use soft_metal as _; // candle's backend is linked here too

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle");

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
fn calibrate_keeps_what_it_learns() {
    let fixture = Fixture::new();
    let words = "calibrate --device metal --litmus-rounds 2 --litmus-width 8 --sizes 16x32x16 --softmax-sizes 16x32";
    let ended = fixture.ok(words);
    for part in ["litmus test of FenceBridge", "Kept in"] {
        assert!(ended.stderr.contains(part), "{part} in {}", ended.stderr);
    }
    let text = &ended.stdout;
    assert!(text.contains("Software Metal (applegpu_g13g): FenceBridge, 0 of 4 litmus rounds failed"), "{text}");
    let gpu = fixture.ok_json("doctor --json")["gpus"][0].clone();
    let n = |what| gpu["calibration"][what].as_u64().unwrap() as usize;
    let measured = n("products") + n("softmax");
    // Below a heading each.
    assert_eq!(text.lines().count(), 2 + measured, "{text}");
    assert!(measured > 0 && gpu["calibration"]["ignored"].is_null(), "{gpu}");
}

/// The layers of the fixture's model, float32: each of its shapes, forward for 16 and 32 tokens and the gradient for 32.
#[test]
fn calibrate_measures_the_layers_of_a_model() {
    let fixture = Fixture::new();
    let words = "calibrate --device metal --litmus-rounds 2 --litmus-width 8 --sizes 16x16x16 --softmax-sizes 16x16 \
                 --model model --tokens 1,16,32";
    let told = fixture.ok(words).stderr;
    // Tasks of software Metal take too little time to be kept, or not; each is begun.
    let of = |what: &str| told.lines().filter_map(|line| line.strip_prefix(what)).next_back().map(str::to_owned);
    let config: serde_json::Value = serde_json::from_str(&fixture.read("model/config.json")).unwrap();
    let size = |name: &str| config[name].as_u64().unwrap();
    let (hidden, heads) = (size("hidden_size"), size("num_attention_heads"));
    let head = config["head_dim"].as_u64().unwrap_or(hidden / heads);
    let (kv, inner) = (size("num_key_value_heads") * head, size("intermediate_size"));
    let mut shapes =
        vec![[heads * head, hidden], [kv, hidden], [hidden, heads * head], [inner, hidden], [hidden, inner]];
    shapes.sort_unstable();
    shapes.dedup();
    // And nine squares.
    let products = 4 * shapes.len() + 9;
    assert_eq!(of("product ").as_deref(), Some(&*format!("{products} of {products}")), "{told}");
    assert_eq!(of("softmax ").as_deref(), Some("4 of 4"), "{told}");
    fixture.fails("calibrate --device metal --model nowhere", 2, &["nowhere"]);
}

#[test]
fn calibrate_leaves_out_what_does_not_end() {
    let fixture = Fixture::new();
    let told = [
        "no way of ordering work came to an end",
        "FenceBridge timed out: killed after 0.001 s; Blocking timed out",
        "doctor --check",
    ];
    fixture.fails("calibrate --device metal --limit 0.001", 1, &told);
    let gpu = fixture.ok_json("doctor --json")["gpus"][0].clone();
    assert!(gpu["calibration"]["products"].is_null() && gpu["calibration"]["ignored"].is_null(), "{gpu}");
}

/// What `--device auto` comes to in a training, and what it says of that.
fn auto(fixture: &Fixture) -> (String, String) {
    let words = "--iters 1 --batch-size 1 --val-batches 1 --sample-prompts 0 --overwrite --device auto";
    let told = fixture.train(words).stderr;
    let device = told.lines().find_map(|line| line.trim().strip_prefix("device"));
    (device.unwrap().trim().to_owned(), told)
}

#[test]
fn auto_takes_a_gpu_when_all_of_its_checks_have_passed() {
    let fixture = Fixture::new();
    let check = || fixture.ok_json("doctor --json")["gpus"][0]["check"].clone();
    let (device, told) = auto(&fixture);
    assert!(device.starts_with("cpu"), "{device}");
    let warning = "warning: the GPU is not used, but the CPU: it was never checked; `metal-candle doctor --check`";
    assert!(told.contains(warning), "{told}");

    let made = fixture.ok_json("doctor --check --json --only softcap,litmus")["check"].clone();
    assert_eq!((&made["device"], &made["passed"]), (&"metal:0".into(), &true.into()), "{made}");
    let path = made["kept"].as_str().unwrap().to_owned();
    assert_eq!(check()["path"], made["kept"]);
    let state = check()["state"].as_str().unwrap().to_owned();
    let missing: Vec<&str> = state.strip_prefix("it was not checked with ").unwrap().split(", ").collect();
    assert!(missing.contains(&"training") && !missing.contains(&"litmus"), "{state}");

    // The others take long here.
    let edit = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut record = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut record);
        std::fs::write(&path, record.to_string()).unwrap();
    };
    let passed = || serde_json::json!({"outcome": "passed"});
    edit(&|record| missing.iter().for_each(|name| record["checks"][name] = passed()));
    assert_eq!(check()["passed"], true);
    let (device, told) = auto(&fixture);
    assert_eq!(device, "metal:0");
    assert!(!told.contains("the GPU is not used"), "{told}");

    edit(&|record| {
        record["checks"]["softcap"] = serde_json::json!({"outcome": "crashed", "how": "signal: 6 (SIGABRT)"})
    });
    let (device, told) = auto(&fixture);
    assert!(device.starts_with("cpu") && told.contains("it did not pass softcap;"), "{told}");
    fixture.ok("doctor --check --only softcap");
    assert_eq!(check()["passed"], true);
    edit(&|record| record["key"]["macos_build"] = "24A1".into());
    assert!(auto(&fixture).1.contains("what was checked is 24A1, not "));
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
