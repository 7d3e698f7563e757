//! Rows in the shapes of data sets that people train, made by us, each trained a step by the command that a user would
//! type.

mod cases;

use crate::fixture::{Ended, Fixture, ended};
use cases::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

#[test]
fn rows_of_every_shape_train_a_step() {
    let faults: Vec<String> = CASES.into_iter().filter_map(fault).collect();
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// What is wrong with how a case ends.
fn fault((name, form, options, told, row): Case) -> Option<String> {
    let fixture = Fixture::new();
    let rows: Vec<Value> = (0..10).map(row).collect();
    let data = lay(&fixture, name, form, &rows);
    let Ended { code, stderr, .. } = train(&fixture, &data, options, form, &rows);
    let is_held_out = stderr.contains("held out to watch the loss on (5 %, --valid-split)");
    let is_split = matches!(form, Folder | JsonSplits);
    let wrong = match code {
        Some(0) if !stderr.contains(told) => format!("no {told:?}"),
        Some(0) if is_held_out == is_split => "rows held out, or not".to_owned(),
        Some(0) if !fixture.path("adapters/adapter_model.safetensors").exists() => {
            "no adapter".to_owned()
        }
        Some(0) => return None,
        code => format!("exit code {code:?}"),
    };
    Some(format!("{name}: {wrong}\n{stderr}"))
}

/// The command that a user would type, and what makes it short.
fn train(fixture: &Fixture, data: &str, options: &str, form: Form, rows: &[Value]) -> Ended {
    let short = "--iters 1 --batch-size 2 --rank 2 --max-seq-length 90 --val-batches 1 --no-verify";
    let mut command = fixture.command(&format!(
        "train --model model --data {data} {options} {short}"
    ));
    if !matches!(form, Stdin) {
        return ended(command.output().unwrap());
    }
    let pipes = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // Who ends early says why.
    let _ = child
        .stdin
        .take()
        .unwrap()
        .write_all(lines(rows).as_bytes());
    ended(child.wait_with_output().unwrap())
}

/// Puts rows somewhere; gives the name for `--data`.
fn lay(fixture: &Fixture, name: &str, form: Form, rows: &[Value]) -> String {
    let file = |ending: &str| format!("sets/{name}.{ending}");
    let write = |ending: &str, text: &str| {
        fixture.write(&file(ending), text);
        file(ending)
    };
    match form {
        Jsonl => write("jsonl", &lines(rows)),
        JsonlGz => {
            write("jsonl.gz", "");
            std::fs::write(fixture.path(&file("jsonl.gz")), packed(&lines(rows))).unwrap();
            file("jsonl.gz")
        }
        Json => write("json", &serde_json::to_string_pretty(rows).unwrap()),
        JsonSplits => {
            let splits = json!({"version": "1.1", "data": rows, "validation": rows[..2]});
            write("json", &splits.to_string())
        }
        Csv => write("csv", &table(rows, ',')),
        Tsv => write("tsv", &table(rows, '\t')),
        Stdin => "-".into(),
        Folder => {
            fixture.write(&format!("sets/{name}/train.jsonl"), &lines(rows));
            fixture.write(
                &format!("sets/{name}/validation.json"),
                &json!(rows[..2]).to_string(),
            );
            format!("sets/{name}")
        }
        Parquet(golden) => {
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../metal-candle/tests/golden/rows");
            write("parquet", "");
            std::fs::copy(
                folder.join(format!("{golden}.parquet")),
                fixture.path(&file("parquet")),
            )
            .unwrap();
            file("parquet")
        }
    }
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

pub fn packed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A table as spreadsheets write it: a byte order mark, and quotes around every field.
fn table(rows: &[Value], delimiter: char) -> String {
    let line = |fields: Vec<String>| {
        let quoted = fields
            .iter()
            .map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
        quoted.collect::<Vec<_>>().join(&delimiter.to_string()) + "\r\n"
    };
    let names = rows[0].as_object().unwrap().keys().cloned();
    let values = |row: &Value| {
        row.as_object()
            .unwrap()
            .values()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    };
    let rows: String = rows.iter().map(|row| line(values(row))).collect();
    format!("\u{feff}{}{rows}", line(names.collect()))
}
