//! `--activations`: what 16 bits change is little, and every command has them.

use crate::fixture::Fixture;

/// Last loss of a run.
fn last_loss(fixture: &Fixture, folder: &str) -> f64 {
    let lines = fixture.read(&format!("{folder}/metrics.jsonl"));
    let lines = lines.lines().rev();
    let mut losses = lines.filter_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["train_loss"].as_f64()
    });
    losses.next().unwrap()
}

#[test]
fn a_run_has_them_and_keeps_them() {
    let fixture = Fixture::new();
    fixture.train("--adapter-path exact");
    let exact = last_loss(&fixture, "exact");
    for (name, more) in [
        ("bf16", ""),
        ("f16", "--grad-checkpoint"),
        ("bf16", "--fine-tune-type dora --neftune-noise-alpha 0"),
        ("bf16", "--fine-tune-type full --num-layers -1"),
        ("bf16", "--init-lora-weights eva --num-layers -1"),
    ] {
        let folder = format!("run-{}", more.len());
        let ended = fixture.train(&format!(
            "--activations {name} {more} --adapter-path {folder}"
        ));
        assert!(
            ended.stderr.contains(&format!("; activations in {name}")),
            "{}",
            ended.stderr
        );
        assert_eq!(
            fixture.json(&format!("{folder}/run.json"))["activations"],
            name
        );
        let loss = last_loss(&fixture, &folder);
        assert!(loss.is_finite() && loss != exact, "{name} {more}: {loss}");
        if more.is_empty() || name == "f16" {
            assert!(
                (loss / exact - 1.0).abs() < 1e-2,
                "{name} {more}: {loss} {exact}"
            );
        }
    }
    let told = "activations \"bf16\" -> null";
    let ended = fixture.run(&format!(
        "{} --adapter-path run-0 --resume-adapter-file run-0",
        crate::fixture::TRAIN
    ));
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
}

#[test]
fn commands_that_compute_have_them() {
    let fixture = Fixture::new();
    let loss = |words: &str| {
        let words = format!("perplexity --model model --data data/valid.jsonl --json {words}");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    let exact = loss("");
    for words in ["--activations bf16", "--activations f16"] {
        let off = loss(words) / exact - 1.0;
        assert!(off != 0.0 && off.abs() < 5e-3, "{words}: {off}");
    }
    assert_eq!(loss("--activations f32"), exact);
    let words = "generate --model model -p hello --max-tokens 8 --activations bf16 --json";
    assert_eq!(
        fixture.ok_json(words)["token_ids"]
            .as_array()
            .unwrap()
            .len(),
        8
    );
    fixture.train("--activations bf16");
    fixture.ok(
        "verify --model model --adapter-path adapters --data data/valid.jsonl --activations bf16",
    );
    fixture.fails(
        "generate --model model -p hello --activations f8",
        2,
        &["possible values: f32, bf16, f16"],
    );
}
