//! `report.html`, answers beside each other, and event files.

use crate::fixture::{Fixture, TRAIN, write_model};
use serde_json::{Value, json};

const PAGE: &str = "adapters/report.html";
const EVENTS: &str = "events.out.tfevents.";

/// The page has all of `expected`, and is whole in itself.
fn check(page: &str, expected: &[&str]) {
    for text in expected {
        assert!(page.contains(text), "no {text:?} in\n{page}");
    }
    for forbidden in [
        "<script", "http://", "https://", "<link", "<img", "url(", "{{", "NaN", "inf\"",
    ] {
        assert!(!page.contains(forbidden), "{forbidden:?} in\n{page}");
    }
    for tag in [
        "div", "svg", "table", "figure", "article", "pre", "dl", "tr", "td", "g", "span",
    ] {
        let count = |text: &str| page.matches(text).count();
        let opened = count(&format!("<{tag}>")) + count(&format!("<{tag} "));
        assert_eq!(opened, count(&format!("</{tag}>")), "{tag} in\n{page}");
    }
}

#[test]
fn a_run_ends_with_answers_and_a_page() {
    let fixture = Fixture::new();
    let words = "--steps-per-eval 2 --val-batches -1 --project-name trial --iters 6";
    let ended = fixture.train(words);
    for text in [
        "Prompt of line 1: ",
        "  in the row    ",
        "  model alone   ",
        "  with adapter  ",
    ] {
        assert_eq!(
            ended.stdout.matches(text).count(),
            if text.starts_with("Prompt") { 1 } else { 3 }
        );
    }
    assert!(
        ended.stderr.contains("Report: adapters/report.html"),
        "{}",
        ended.stderr
    );
    let page = fixture.read(PAGE);
    let loss = ended.stdout.split("Validation loss ").nth(1).unwrap();
    let (before, rest) = loss.split_once(" before, ").unwrap();
    let after = rest.split(' ').next().unwrap();
    check(
        &page,
        &[
            "<title>trial</title>",
            "Finished: 6 steps",
            "5 checks passed",
            &format!("{after}<small>{before} before"),
            "aria-label=\"Loss\"",
            "aria-label=\"Learning rate\"",
            "aria-label=\"Trained tokens per second\"",
            "aria-label=\"Peak memory, GB\"",
            "Prompt · line 3",
            "14 layers of all-linear",
            "<th>learning_rate</th><td><code>0.01</code></td>",
            "metal-candle generate --model model --adapter-path adapters",
            // Every row that is validated on is trained on, too.
            "every row is also in",
        ],
    );
    // Made again, it is the same.
    let told = fixture.ok("report adapters").stdout;
    assert_eq!(told.trim(), PAGE);
    assert_eq!(fixture.read(PAGE), page);
}

/// The answers are those of `generate`.
#[test]
fn answers_are_those_of_the_model_without_and_with_the_adapter() {
    let fixture = Fixture::new();
    fixture.train("--sample-prompts 2 --iters 8");
    let samples = fixture.json("adapters/report.json")["samples"].clone();
    assert_eq!(samples.as_array().unwrap().len(), 2);
    let rows = fixture.read("data/valid.jsonl");
    let rows = rows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    for (sample, row) in samples.as_array().unwrap().iter().zip(rows) {
        assert_eq!(sample["asked"], row["prompt"]);
        assert_eq!(
            sample["expected"].as_str().unwrap().trim(),
            row["completion"]
        );
        for (adapter, name) in [("", "before"), ("--adapter-path adapters", "after")] {
            let mut command = fixture.command(&format!(
                "generate --model model {adapter} --max-tokens 48 --temp 0 --json --prompt"
            ));
            let output = command
                .arg(row["prompt"].as_str().unwrap())
                .output()
                .unwrap();
            let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(sample[name], answer["text"], "{name}");
        }
    }
}

#[test]
fn rows_of_text_have_no_answers_and_options_leave_things_out() {
    let fixture = Fixture::new();
    let ended = fixture.train("--sample-prompts 0 --no-report");
    assert!(!ended.stdout.contains("Prompt of line"), "{}", ended.stdout);
    assert!(!fixture.path(PAGE).exists() && !fixture.path("adapters/report.json").exists());
    let text: String = (0..9)
        .map(|i| json!({"text": format!("it is {i}")}).to_string() + "\n")
        .collect();
    fixture.write("text/train.jsonl", &text);
    fixture.write("text/valid.jsonl", "{\"text\": \"please say\"}\n");
    let ended = fixture.train("--data text --overwrite -v");
    assert!(!ended.stdout.contains("Prompt of line"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("no answers beside each other"),
        "{}",
        ended.stderr
    );
    assert!(!fixture.read(PAGE).contains("Answers side by side"));
}

#[test]
fn rows_that_were_held_out_are_asked() {
    let fixture = Fixture::new();
    let ended = fixture.train("--data data/train.jsonl --valid-split 0.2");
    let sample = fixture.json("adapters/report.json")["samples"][0].clone();
    let line = sample["line"].as_u64().unwrap();
    let rows = fixture.read("data/train.jsonl");
    let row: Value = serde_json::from_str(rows.lines().nth(line as usize - 1).unwrap()).unwrap();
    assert_eq!(
        sample["expected"].as_str().unwrap().trim(),
        row["completion"],
        "{}",
        ended.stdout
    );
}

#[test]
fn a_page_is_safe_whatever_it_shows() {
    let fixture = Fixture::new();
    fixture.train("");
    let hostile = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>\"'&lt;\u{202e}{{style}}\u{1b}[2J";
    fixture.edit("adapters/report.json", |told| {
        let line = json!({"name": hostile, "text": hostile});
        *told = json!({
            "name": hostile,
            "header": [line],
            "outcome": {"ending": hostile, "steps": 4, "planned_steps": 9},
            "samples": [{"line": 1, "prompt": hostile, "expected": hostile, "before": hostile, "after": hostile}],
            "checks": [{"name": hostile, "outcome": hostile, "text": hostile}],
            "warnings": [hostile],
            "next": [hostile],
        });
    });
    fixture.edit("adapters/run.json", |settings| {
        settings[hostile] = hostile.into()
    });
    let metrics = fixture.read("adapters/metrics.jsonl");
    let extreme = "{\"step\":5,\"train_loss\":1e308}\n{\"step\":6,\"train_loss\":null,\"grad_norm\":-1e308}\n";
    fixture.write("adapters/metrics.jsonl", &(metrics + extreme));
    fixture.ok("report adapters");
    let page = fixture.read(PAGE).replace("{{style}}", "");
    check(
        &page,
        &[
            "&lt;script&gt;alert(&#39;x&#39;)",
            "&amp;lt;\\u{202e}",
            "\\u{1b}[2J",
        ],
    );
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
}

#[test]
fn a_run_that_stopped_early_says_so() {
    let fixture = Fixture::new();
    fixture.write("data/valid.jsonl", "{\"text\": \"zzz qqq xxx 9 8 7\"}\n");
    let words = "--iters 200 --learning-rate 5e-2 --steps-per-eval 2 --save-every 0 \
                 --early-stopping-patience 2 --load-best-model-at-end";
    fixture.train(words);
    let outcome = fixture.json("adapters/report.json")["outcome"].clone();
    let (kept, steps) = (&outcome["kept_step"], &outcome["steps"]);
    let stopped = format!("(step {steps} of 200)");
    let after = format!("after step {kept}<");
    check(
        &fixture.read(PAGE),
        &[
            "Stopped early",
            &stopped,
            &after,
            "class=\"mark\"",
            ">kept</text>",
        ],
    );
}

#[test]
fn runs_without_validation_and_runs_that_were_killed_have_a_page() {
    let fixture = Fixture::new();
    fixture.train("--val-batches 0");
    let page = fixture.read(PAGE);
    check(
        &page,
        &["Finished: 4 steps", "Train loss", "aria-label=\"Loss\""],
    );
    assert!(
        !page.contains("Validation loss") && !page.contains("<b>valid</b>"),
        "{page}"
    );
    // A killed run leaves no word of its own, and maybe half a line.
    std::fs::remove_file(fixture.path("adapters/report.json")).unwrap();
    let metrics = fixture.read("adapters/metrics.jsonl");
    fixture.write("adapters/metrics.jsonl", &(metrics + "{\"step\":"));
    fixture.ok("report adapters");
    check(
        &fixture.read(PAGE),
        &["No end: the run goes on, or was killed", "model on data"],
    );
    fixture.write("begun/metrics.jsonl", "");
    fixture.ok("report begun");
    check(
        &fixture.read("begun/report.html"),
        &["No step was reported"],
    );
}

#[test]
fn what_is_no_run_has_no_page() {
    let fixture = Fixture::new();
    fixture.fails(
        "report data",
        2,
        &["neither run.json nor metrics.jsonl", "--adapter-path"],
    );
    fixture.fails("report nowhere", 2, &["neither run.json nor metrics.jsonl"]);
    fixture.write("run/metrics.jsonl", "{\"step\":1}\nnot json\n");
    fixture.fails(
        "report run",
        2,
        &["metrics.jsonl: line 2", "move metrics.jsonl away"],
    );
    fixture.write("run/metrics.jsonl", "{\"step\":1}\n");
    fixture.write("run/report.json", "{\"samples\": 3}");
    fixture.fails("report run", 2, &["report.json", "move report.json away"]);
    assert!(!fixture.path("run/report.html").exists());
}

#[test]
fn all_weights_have_answers_of_one_model() {
    let fixture = Fixture::new();
    let words = TRAIN.replace("--rank 4", "--fine-tune-type full --num-layers -1");
    let ended = fixture.ok(&words);
    assert_eq!(
        ended.stdout.matches("  as trained    ").count(),
        3,
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("model alone"));
    check(&fixture.read(PAGE), &["As trained"]);
}

/// Bytes of the event files below the folder of the run, in their order.
fn events(fixture: &Fixture, folder: &str) -> Vec<Vec<u8>> {
    let entries = fixture.path(folder).read_dir().unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let is_events = |path: &std::path::PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with(EVENTS)
    };
    paths
        .iter()
        .filter(|path| is_events(path))
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Data of the records of a file, whose lengths add up to it.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = vec![];
    while !bytes.is_empty() {
        let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        records.push(&bytes[12..12 + n]);
        bytes = &bytes[12 + n + 4..];
    }
    records
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn figures_go_to_event_files() {
    let fixture = Fixture::new();
    let words = "--report-to tensorboard --iters 4 --steps-per-eval 0 --save-every 0";
    fixture.train(words);
    let files = events(&fixture, "adapters/tensorboard");
    assert_eq!(files.len(), 1);
    // The version, two reports and the evaluations before and after.
    let found = records(&files[0]);
    assert_eq!(found.len(), 1 + 2 + 2);
    assert!(holds(found[0], b"brain.Event:2"));
    let metrics = fixture.read("adapters/metrics.jsonl");
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    for (record, line) in found[1..].iter().zip(lines) {
        let (tag, value) = match &line["train_loss"] {
            Value::Null => ("valid/loss", &line["val_loss"]),
            loss => ("train/loss", loss),
        };
        let loss = (value.as_f64().unwrap() as f32).to_le_bytes();
        // Field 2 of the value, a float, behind its tag.
        let expected = [tag.as_bytes(), &[0x15], &loss].concat();
        assert!(holds(record, &expected), "{line} {record:?}");
    }
    // A part that goes on has a file of its own; another run replaces both.
    fixture.train(&format!("{words} --resume-adapter-file adapters --iters 2"));
    assert_eq!(events(&fixture, "adapters/tensorboard").len(), 2);
    fixture.train(&format!("{words} --overwrite"));
    assert_eq!(events(&fixture, "adapters/tensorboard").len(), 1);
    fixture.train(&format!("{words} --overwrite --project-name other"));
    assert_eq!(events(&fixture, "adapters/tensorboard/other").len(), 1);
}

#[test]
fn services_that_figures_would_be_sent_to_are_refused() {
    let fixture = Fixture::new();
    for service in ["wandb", "swanlab", "tensorboard,wandb", ""] {
        let mut command = fixture.command(TRAIN);
        command.args(["--report-to", service]);
        let ended = crate::fixture::ended(command.output().unwrap());
        ended.check(
            service,
            2,
            &[
                "--report-to is not built",
                "give tensorboard",
                "report.html",
            ],
        );
    }
    fixture.train_fails(
        "--project-name a/b",
        2,
        &["--project-name", "name of a folder"],
    );
    fixture.train("--report-to none");
    assert!(!fixture.path("adapters/tensorboard").exists());
}

/// What another run left is not taken for this one's.
#[test]
fn another_run_replaces_the_page() {
    let fixture = Fixture::new();
    fixture.train("--project-name earlier-run");
    write_model(&fixture.path("model"), 8);
    fixture.train("--overwrite --no-report");
    assert!(!fixture.path(PAGE).exists() && !fixture.path("adapters/report.json").exists());
    fixture.ok("report adapters");
    assert!(!fixture.read(PAGE).contains("earlier-run"));
}
