//! Runs that follow their validation loss, and what they keep.

use crate::fixture::{Fixture, TRAIN};
use serde_json::Value;
use std::collections::BTreeSet;

fn checkpoints(fixture: &Fixture) -> BTreeSet<String> {
    let entries = fixture.path("adapters").read_dir().unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("checkpoint-"))
        .collect()
}

/// Steps of the evaluations and their losses, that before the first step aside.
fn losses(fixture: &Fixture) -> Vec<(u64, f64)> {
    let metrics = fixture.read("adapters/metrics.jsonl");
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let losses =
        lines.filter_map(|line| Some((line["step"].as_u64()?, line["val_loss"].as_f64()?)));
    losses.filter(|(step, _)| *step > 0).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// Rows to validate on that training makes less likely.
fn adverse() -> Fixture {
    let fixture = Fixture::new();
    let row = "{\"text\": \"zzz qqq xxx 9 8 7\"}\n";
    fixture.write("data/valid.jsonl", row);
    fixture
}

#[test]
fn a_run_ends_when_its_validation_loss_goes_down_no_more() {
    let fixture = adverse();
    let words = "--iters 200 --learning-rate 5e-2 --steps-per-eval 2 --save-every 0 \
                 --early-stopping-patience 2 --load-best-model-at-end";
    let told = fixture.train(words).stdout;
    assert!(told.contains("Stopped early"), "{told}");
    let losses = losses(&fixture);
    let (last, _) = losses[losses.len() - 1];
    assert!(last < 200, "{losses:?}");
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(
        best.0 + 2 * 2,
        last,
        "two evaluations after the best: {losses:?}"
    );
    let saved = checkpoints(&fixture);
    let [best_name, last_name] = [best.0, last].map(|step| format!("checkpoint-{step}"));
    assert!(
        saved.contains(&best_name) && saved.contains(&last_name),
        "{saved:?}"
    );
    let bytes = |name: &str| std::fs::read(fixture.path(name)).unwrap();
    let weights = "adapter_model.safetensors";
    let own = bytes(&format!("adapters/{weights}"));
    assert!(own == bytes(&format!("adapters/{best_name}/{weights}")));
    assert!(own != bytes(&format!("adapters/{last_name}/{weights}")));
    let record = fixture.json(&format!("adapters/{best_name}/checkpoint.json"));
    assert_eq!(record["val_loss"].as_f64(), Some(best.1));
    // What is checked, and tested, at the end is what is kept.
    assert!(told.contains(&format!("those of {best_name}")), "{told}");
    let words = "perplexity --model model --adapter-path adapters --data data/valid.jsonl --json";
    let loss = fixture.ok_json(words)["loss"].as_f64().unwrap();
    assert!((loss - best.1).abs() < 1e-4, "{loss} {best:?}");
}

#[test]
fn a_run_goes_on_from_its_best_checkpoint() {
    let fixture = adverse();
    let follow = "--learning-rate 5e-2 --steps-per-eval 1 --save-every 0 --load-best-model-at-end";
    fixture.train(&format!("{follow} --iters 6"));
    let best = losses(&fixture)
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    let last = best.0 + 3;
    let words = format!("{follow} --iters 3 --resume-adapter-file adapters");
    let told = fixture.train(&words);
    assert!(
        told.stderr.contains(&format!("after {} steps", best.0)),
        "{}",
        told.stderr
    );
    let after = losses(&fixture)
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    assert!(
        after.1 <= best.1,
        "the best of the first part counts: {after:?} {best:?}"
    );
    let own = std::fs::read(fixture.path("adapters/adapter_model.safetensors")).unwrap();
    let kept = format!("adapters/checkpoint-{}/adapter_model.safetensors", after.0);
    assert!(
        own == std::fs::read(fixture.path(&kept)).unwrap(),
        "{after:?} of {last}"
    );
}

#[test]
fn a_run_that_goes_on_keeps_its_patience() {
    let fixture = adverse();
    let follow = "--learning-rate 5e-2 --steps-per-eval 2 --save-every 2 --early-stopping-patience 3 --no-verify";
    let told = fixture.train(&format!("{follow} --iters 200"));
    assert!(told.stdout.contains("Stopped early"), "{}", told.stdout);
    assert!(!told.stderr.contains("Go on with"), "{}", told.stderr);
    let whole = losses(&fixture);
    let (last, _) = whole[whole.len() - 1];
    assert!(last < 200 && last > 4, "{whole:?}");
    let record = fixture.json(&format!("adapters/checkpoint-{last}/checkpoint.json"));
    assert_eq!(record["evaluations_without_improvement"], 3);
    // A part of a run begins with the evaluation that the one before ended with.
    let losses = || {
        let mut losses = losses(&fixture);
        losses.dedup();
        losses
    };
    // Two of the three evaluations are those of the first part.
    fixture.train(&format!("{follow} --iters {} --overwrite", last - 2));
    fixture.train(&format!(
        "{follow} --iters 200 --resume-adapter-file adapters"
    ));
    assert_eq!(losses(), whole);
    // A run that ended by its rule goes on until the next evaluation.
    fixture.train(&format!(
        "{follow} --iters 200 --resume-adapter-file adapters"
    ));
    let after = losses();
    assert_eq!(after.len(), whole.len() + 1, "{after:?}");
}

#[test]
fn few_checkpoints_are_kept_and_the_best_among_them() {
    let fixture = adverse();
    fixture.train("--iters 5 --save-every 1 --save-total-limit 2");
    assert_eq!(
        checkpoints(&fixture),
        names(&["checkpoint-4", "checkpoint-5"])
    );
    let words = "--iters 8 --learning-rate 5e-2 --steps-per-eval 1 --save-every 1 --save-total-limit 1 \
                 --load-best-model-at-end --overwrite";
    fixture.train(words);
    let best = losses(&fixture)
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap()
        .0;
    let expected = ["checkpoint-8".to_string(), format!("checkpoint-{best}")];
    assert_eq!(checkpoints(&fixture), expected.into_iter().collect());
    fixture.train("--resume-adapter-file adapters --iters 1 --learning-rate 1e-3");
}

#[test]
fn evaluations_and_saves_come_at_a_share_of_the_steps() {
    let fixture = Fixture::new();
    fixture.train("--iters 10 --steps-per-eval 0.3 --save-every 0.5");
    let steps: Vec<u64> = losses(&fixture).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [3, 6, 9, 10]);
    assert_eq!(
        checkpoints(&fixture),
        names(&["checkpoint-5", "checkpoint-10"])
    );
    fixture.write(
        "run.yaml",
        "model: model\ndata: data\niters: 4\nsteps_per_eval: 0.5\n",
    );
    fixture.ok("train -c run.yaml --overwrite");
    let steps: Vec<u64> = losses(&fixture).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [2, 4]);
}

#[test]
fn a_loss_that_nothing_measures_is_not_followed() {
    let fixture = Fixture::new();
    for words in ["--load-best-model-at-end", "--early-stopping-patience 1"] {
        let option = words.split(' ').next().unwrap();
        let expected = [option, "no evaluations", "--val-batches 0"];
        fixture.train_fails(&format!("{words} --val-batches 0"), 2, &expected);
    }
    std::fs::remove_file(fixture.path("data/valid.jsonl")).unwrap();
    fixture.train_fails(
        "--load-best-model-at-end",
        2,
        &["no rows to watch the loss on", "--valid-split"],
    );
    assert!(!fixture.path("adapters").exists());
    let wrong = format!("{TRAIN} --early-stopping-threshold 1");
    fixture.fails(&wrong, 2, &["--early-stopping-patience"]);
    let wrong = format!("{TRAIN} --save-total-limit 0");
    fixture.fails(&wrong, 2, &["--save-total-limit", "must be"]);
}
