//! The real binary, from its command line to what it writes.
#![allow(missing_docs, clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "../../cli/tests/cli/fixture.rs"]
mod fixture;

use fixture::Fixture;
use serde_json::json;

/// What the fixture runs.
const PROGRAM: &str = env!("CARGO_BIN_EXE_metal-candle-bench");

const RECORD: &str = "records/r.json";

/// A record with one published row.
fn with_record() -> Fixture {
    let fixture = Fixture::new();
    let spread = |secs: f64| json!({"spread": {"runs": 5, "min_secs": secs, "p25_secs": secs, "median_secs": secs, "p75_secs": secs}});
    let record = json!({
        "machine": {
            "processor": "A Processor", "cores": 2, "threads": 2, "simd": "avx2",
            "system": "linux x86_64", "rustc": null, "commit": "0123456789", "date": "2026-01-31",
        },
        "versions": {"torch": "9.9"},
        "ceilings": [{
            "threads": 2, "read_bytes_per_sec": 2e10, "copy_bytes_per_sec": 1e10, "flops_per_sec": 1e11,
        }],
        "rows": [{
            "op": "softmax", "case": "2048x2048", "dtype": "f32", "pass": "forward+backward",
            "source": "table", "flops": 33554432, "bytes": 83886080,
            "ours": spread(5e-3), "rivals": {"pytorch": spread(1e-2)},
        }],
    });
    fixture.write(RECORD, &record.to_string());
    fixture
}

#[test]
fn a_record_becomes_a_table_a_plot_and_a_summary() {
    let fixture = with_record();
    let row = "| softmax 2048x2048 | f32 | forward+backward | 5.00 ms | 16.8 GB/s | 84 % memory | **2.00** | 1.50 |";
    let printed = fixture.ok(&format!("report {RECORD}")).stdout;
    assert!(
        printed.contains(row) && printed.contains("torch 9.9"),
        "{printed}"
    );

    let marks = "above\n<!-- begin: made by `metal-candle-bench report` -->\n<!-- end: metal-candle-bench report -->\nbelow\n";
    fixture.write("TEXT.md", marks);
    fixture.ok(&format!("report {RECORD} --page TEXT.md --plot plot.svg"));
    let text = fixture.read("TEXT.md");
    assert!(
        text.contains(row) && text.starts_with("above\n") && text.ends_with("below\n"),
        "{text}"
    );
    assert!(
        text.contains("`metal-candle-bench report records/r.json`"),
        "{text}"
    );
    assert!(fixture.read("plot.svg").starts_with("<svg"));

    let marks = "<!-- begin, in short: made by `metal-candle-bench report` -->\n\
                 <!-- end: metal-candle-bench report in short -->\n";
    fixture.write("README.md", marks);
    fixture.ok(&format!("report {RECORD} --readme README.md"));
    let readme = fixture.read("README.md");
    let row = "| softmax | 1 | 2.00 | 84 % | 1 of 1 |";
    assert!(
        readme.contains(row) && readme.contains("torch 9.9"),
        "{readme}"
    );
}

/// Tables of a GPU and of the processor are beside each other.
#[test]
fn a_record_of_a_gpu_has_a_place_of_its_own() {
    let fixture = with_record();
    fixture.edit(RECORD, |record| {
        record["machine"]["gpu"] = json!("applegpu_g15s");
        record["ceilings"] = json!([{
            "threads": null, "read_bytes_per_sec": null, "copy_bytes_per_sec": 1e11,
            "flops_per_sec": 1e13, "wait_secs": 2e-4,
        }]);
        let figures = record["rows"][0]["rivals"]["pytorch"].take();
        record["rows"][0]["rivals"] = json!({"mlx": figures});
        record["rows"][0]["runs_per_wait"] = json!(8);
    });
    let marks = "<!-- begin: made by `metal-candle-bench report` -->\n<!-- end: metal-candle-bench report -->\n\
                 <!-- begin, of an Apple GPU: made by `metal-candle-bench report` -->\nnothing yet\n\
                 <!-- end: metal-candle-bench report of an Apple GPU -->\n";
    fixture.write("TEXT.md", marks);
    fixture.ok(&format!("report {RECORD} --page TEXT.md"));
    let text = fixture.read("TEXT.md");
    let (of_cpu, of_gpu) = text.split_once("of an Apple GPU").unwrap();
    assert_eq!(of_cpu.lines().count(), 3, "{text}");
    let row =
        "| softmax 2048x2048 | f32 | forward+backward | 5.00 ms | 16.8 GB/s | 17 % memory | 2.00 |";
    for part in [row, "GPU applegpu_g15s", "MLX / ours", "a wait 200 us"] {
        assert!(of_gpu.contains(part), "{part} in {text}");
    }
    assert!(!of_gpu.contains("nothing yet"), "{text}");
}

#[test]
fn a_table_needs_its_place_and_a_plot_its_rows() {
    let fixture = with_record();
    fixture.write("TEXT.md", "no marks\n");
    let words = format!("report {RECORD} --page TEXT.md");
    fixture.fails(&words, 2, &["TEXT.md", "no place"]);
    let words = format!("report {RECORD} --readme TEXT.md");
    fixture.fails(&words, 2, &["TEXT.md", "no place"]);
    assert_eq!(fixture.read("TEXT.md"), "no marks\n");
    fixture.edit(RECORD, |record| record["rows"] = json!([]));
    let words = format!("report {RECORD} --plot plot.svg");
    fixture.fails(&words, 2, &["no row"]);
    assert!(!fixture.path("plot.svg").exists());
    let words = format!("report {RECORD} --page nowhere");
    fixture.fails(&words, 2, &["nowhere"]);
    fixture.fails("report absent.json", 2, &["absent.json"]);
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is() {
    let fixture = Fixture::new();
    fixture.fails("ops --filter nonsense", 2, &["--filter"]);
    fixture.fails("ops --seconds=-1", 2, &["--seconds"]);
    fixture.fails("train --vs candle", 2, &["candle"]);
    fixture.fails("train --vs engines", 2, &["engine"]);
    fixture.fails("generate --vs mlx", 2, &["mlx", "no script"]);
    fixture.fails("generate --vs llama.cpp", 2, &["llama.cpp", "--model"]);
    fixture.fails("ops --vs llama.cpp", 2, &["llama.cpp", "generate"]);
    fixture.fails("train --vs llama.cpp", 2, &["llama.cpp", "no script"]);
    fixture.fails(
        "generate --model model --vs llama.cpp",
        2,
        &["no GGUF file"],
    );
    fixture.fails(
        "generate --model model --vs pytorch",
        2,
        &["pytorch", "--model"],
    );
    fixture.fails("generate --model absent.gguf", 2, &["absent.gguf"]);
    fixture.fails("generate --model model --filter f64", 2, &["--filter"]);
    fixture.fails("ops --device cuda", 2, &["--device cuda"]);
    let words = "ops --device cpu --filter adamw --vs engines";
    fixture.fails(words, 2, &["--vs engines", "Apple GPU"]);
    fixture.fails("generate --filter f64", 2, &["--filter"]);
    for words in ["ops --rounds 0", "ops --rounds -1", "ops --vs nobody"] {
        fixture.fails(words, 2, &[words.split(' ').nth(1).unwrap()]);
    }
    // The scripts are not in this folder.
    let words = "ops --filter adamw --vs pytorch";
    fixture.fails(words, 2, &["ops_torch.py", "checkout"]);
}

#[test]
fn a_process_of_its_own_answers_with_one_line() {
    let fixture = Fixture::new();
    let mut command = fixture.command("train --dtype bf16 --steps 2 --one");
    let output = command.arg("16 1 2 1 24 32 8 2").output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["secs"]["step"][""].as_array().unwrap().len(), 2);
    assert!(answer["peak_bytes"]["step"].as_u64().unwrap() > 0);
}

/// A model of two blocks in one file.
const GGUF: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../metal-candle/tests/golden/gguf/llama.gguf"
);

/// A folder with the script for llama.cpp, and a Python that keeps what it is told and does `then`.
#[cfg(unix)]
fn with_python(then: &str) -> Fixture {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    fixture.write("scripts/bench/generate_llama_cpp.py", "");
    fixture.write(
        "python",
        &format!("#!/bin/sh\necho \"$@\" >> told\n{then}\n"),
    );
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(fixture.path("python"), mode).unwrap();
    fixture
}

#[cfg(unix)]
#[test]
fn a_file_is_compared_with_llama_cpp() {
    let answer = json!({
        "secs": {"prefill": {"AVX2": [8.0]}, "decode": {"AVX2": [4.0]}}, "versions": {"xllamacpp": "1.2 (AVX2)"},
    });
    let fixture = with_python(&format!("echo '{answer}'"));
    let words =
        format!("generate --model {GGUF} --device cpu --prompt 7 --tokens 3 --rounds 2 --json");
    let record = fixture.ok_json(&format!("{words} --vs llama.cpp --python ./python"));
    assert_eq!(record["versions"]["xllamacpp"], "1.2 (AVX2)");
    for (row, (pass, secs)) in [("prefill", 8.0), ("decode", 4.0)].into_iter().enumerate() {
        let row = &record["rows"][row];
        assert_eq!(
            (&row["pass"], &row["case"]),
            (&json!(pass), &json!("llama 7 tokens"))
        );
        let theirs = &row["rivals"]["llama.cpp"];
        assert_eq!(
            (&theirs["how"], &theirs["spread"]["median_secs"]),
            (&json!("AVX2"), &json!(secs))
        );
        // A turn is a run of both.
        assert_eq!(
            (&theirs["spread"]["runs"], &row["ours"]["spread"]["runs"]),
            (&json!(2), &json!(2))
        );
        assert!(row["ours"]["spread"]["median_secs"].as_f64().unwrap() < secs);
    }
    let told = fixture.read("told");
    let words = format!("--prompt 7 --tokens 3 --vocabulary {} {GGUF}", vocabulary());
    assert!(
        told.lines().count() == 2 && told.lines().all(|line| line.ends_with(&words)),
        "{told}"
    );
    assert!(
        told.starts_with("scripts/bench/generate_llama_cpp.py --threads "),
        "{told}"
    );
}

#[cfg(unix)]
fn vocabulary() -> usize {
    let device = candle_core::Device::Cpu;
    let model = metal_candle::models::Model::load(GGUF.as_ref(), &device).unwrap();
    model.config.vocab_size
}

#[cfg(unix)]
#[test]
fn a_rival_that_is_not_installed_is_told_of() {
    let fixture = with_python("exit 1");
    let words = format!("generate --model {GGUF} --device cpu --vs llama.cpp --python ./python");
    fixture.fails(&words, 1, &["./python", "requirements-llama-cpp.txt"]);
}
