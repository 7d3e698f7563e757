//! Benchmarks with `--device metal`. The program fails by itself if a rule is broken.

#[allow(dead_code)]
#[rustfmt::skip] // formatted in its own workspace
#[path = "../../../cli/tests/cli/fixture.rs"]
mod fixture;

use fixture::Fixture;
use soft_metal as _; // candle's backend is linked here too

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle-bench");

#[test]
fn operations_are_measured_beside_candle_and_the_engines() {
    let fixture = Fixture::new();
    let words =
        "ops --device metal --filter matmul+1x896x896+f32+Qwen2.5-0.5B --seconds 0 --rounds 1 --runs-per-wait 2 --json";
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
fn softmax_is_measured_beside_that_of_mps() {
    let fixture = Fixture::new();
    let words = "ops --device metal --seconds 0 --rounds 1 --runs-per-wait 1 --json --filter";
    let output = fixture.command(words).arg("softmax 1x151936 f32").output().unwrap();
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = record["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{record}");
    for row in rows {
        let spread = &row["rivals"]["mps-softmax"]["spread"];
        assert!(spread["median_secs"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn training_and_generation_are_measured() {
    let fixture = Fixture::new();
    let mut command = fixture.command("train --device metal --dtype f32 --steps 1 --one");
    let output = command.arg("16 1 2 1 24 32 8 2").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["secs"]["step"][""].as_array().unwrap().len(), 1);
    assert_eq!(answer["peak_bytes"], serde_json::json!({}), "a GPU does not tell");
}
