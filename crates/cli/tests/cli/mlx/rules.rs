//! Defaults and rules of mlx-lm: when they hold, and what they come to.

use super::golden_json;
use crate::fixture::{Fixture, TRAIN};
use serde_json::json;

const YAML: &str = "model: model\ndata: data\niters: 2\nsteps_per_report: 1\n";

fn with(text: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("lora.yaml", &format!("{YAML}{text}"));
    fixture
}

#[test]
fn a_file_of_mlx_lm_has_its_defaults() {
    let fixture = with("");
    let ended = fixture.ok("train -c lora.yaml");
    assert!(
        ended.stderr.contains("mlx-lm's defaults"),
        "{}",
        ended.stderr
    );
    let run = fixture.json("adapters/run.json");
    let defaults = &golden_json("options.json")["lora_defaults"];
    for key in [
        "seed",
        "batch_size",
        "learning_rate",
        "optimizer",
        "fine_tune_type",
        "grad_accumulation_steps",
        "grad_checkpoint",
        "mask_prompt",
    ] {
        assert_eq!(run[key], defaults[key], "{key}");
    }
    assert_eq!(run["compat"], "mlx");
    assert_eq!(run["max_grad_norm"].as_f64(), Some(0.0));
    assert_eq!(run["optimizer_config"]["bias_correction"], false);
    let parameters = &defaults["lora_parameters"];
    let adapter = fixture.json("adapters/adapter_config.json");
    let alpha = parameters["scale"].as_f64().unwrap() * parameters["rank"].as_f64().unwrap();
    assert_eq!(adapter["r"], parameters["rank"]);
    assert_eq!(adapter["lora_alpha"].as_f64(), Some(alpha));
    assert_eq!(adapter["lora_dropout"], parameters["dropout"]);
}

/// Defaults that run.json does not keep are those of the options' help.
#[test]
fn other_defaults_are_the_same_in_both() {
    let help = Fixture::new().ok("lora --help").stdout;
    let defaults = &golden_json("options.json")["lora_defaults"];
    for key in [
        "val_batches",
        "test_batches",
        "steps_per_report",
        "steps_per_eval",
        "save_every",
        "iters",
        "adapter_path",
    ] {
        let option = format!("--{} <", key.replace('_', "-"));
        let (_, about) = help.split_once(&option).unwrap();
        let (_, default) = about.split_once("[default: ").unwrap();
        let expected = defaults[key].to_string();
        assert_eq!(
            default.split_once(']').unwrap().0,
            expected.trim_matches('"'),
            "{key}"
        );
    }
}

#[test]
fn a_file_in_our_words_has_ours() {
    let fixture = with("rank: 4\n");
    let ended = fixture.ok("train -c lora.yaml");
    assert!(!ended.stderr.contains("mlx-lm's"), "{}", ended.stderr);
    let run = fixture.json("adapters/run.json");
    assert!(run["compat"].is_null());
    assert_eq!(run["optimizer"], "adamw");
    assert_eq!(run["max_grad_norm"], json!(1.0));
    assert_eq!(
        fixture.json("adapters/adapter_config.json")["lora_alpha"],
        16
    );
    let fixture = with("compat: none\n");
    fixture.ok("train -c lora.yaml");
    assert!(fixture.json("adapters/run.json")["compat"].is_null());
}

#[test]
fn the_rules_can_be_asked_for_and_declined() {
    let fixture = with("");
    fixture.ok(&format!("{TRAIN} --compat mlx --iters 1"));
    assert_eq!(fixture.json("adapters/run.json")["compat"], "mlx");
    fixture.ok("train -c lora.yaml --compat none --overwrite");
    assert!(fixture.json("adapters/run.json")["compat"].is_null());
}

#[test]
fn a_resumed_run_keeps_the_rules() {
    let fixture = with("optimizer_config: {adam: {betas: [0.8, 0.9]}}\n");
    fixture.ok("train -c lora.yaml");
    let before = fixture.json("adapters/run.json");
    let resume = "train --model model --data data --iters 1 --resume-adapter-file adapters";
    let ended = fixture.ok(&format!("{resume} --betas 0.8,0.9"));
    assert!(!ended.stderr.contains("other settings"), "{}", ended.stderr);
    let after = fixture.json("adapters/run.json");
    for key in [
        "compat",
        "optimizer_config",
        "max_grad_norm",
        "learning_rate",
    ] {
        assert_eq!(before[key], after[key], "{key}");
    }
    let ended = fixture.ok(&format!("{resume} --compat none --optimizer adam"));
    assert!(
        ended.stderr.contains("compat \"mlx\" -> null"),
        "{}",
        ended.stderr
    );
}

#[test]
fn iterations_are_batches() {
    let fixture = with("grad_accumulation_steps: 2\n");
    let ended = fixture.ok("train -c lora.yaml --iters 7 --steps-per-report 3");
    assert!(ended.stdout.contains("Trained 3 steps"), "{}", ended.stdout);
    for told in [
        "--iters 7 are 3 steps of 2 batches: the last 1 batches",
        "--steps-per-report 3 is no multiple of the 2 batches of a step: 2 is taken",
    ] {
        assert!(ended.stderr.contains(told), "{told}\n{}", ended.stderr);
    }
    let words = "train -c lora.yaml --iters 1 --overwrite";
    fixture.fails(words, 2, &["--iters 1: no step", "give more"]);
}

#[test]
fn epochs_are_of_the_batches_that_are_taken() {
    let fixture = with("batch_size: 5\n");
    // 24 rows: four batches of five, and four rows that fill none.
    let stdout = fixture.ok("train -c lora.yaml --num-epochs 2").stdout;
    assert!(stdout.contains("Trained 8 steps"), "{stdout}");
    let words = "train -c lora.yaml --num-epochs 0.5 --grad-accumulation-steps 4 --overwrite";
    let stdout = fixture.ok(words).stdout;
    assert!(stdout.contains("Trained 1 step,"), "{stdout}");
}

#[test]
fn a_warm_up_is_as_long_as_it_was_said_to_be() {
    let fixture = with("lr_schedule: {name: cosine_decay, warmup: 3, arguments: [1e-4, 9]}\n");
    fixture.ok("train -c lora.yaml");
    let run = fixture.json("adapters/run.json");
    assert_eq!(run["warmup_steps"], 3);
    assert_eq!(run["num_layers"], -1);
}

#[test]
fn of_alpha_and_scale_the_scale_is_taken() {
    let told = |parameters: &str, alpha: f64, expected: &str| {
        let fixture = with(&format!("lora_parameters: {{{parameters}}}\n"));
        let ended = fixture.ok("train -c lora.yaml");
        let config = fixture.json("adapters/adapter_config.json");
        assert_eq!(config["lora_alpha"].as_f64(), Some(alpha), "{parameters}");
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    };
    let ignored = "alpha 64 changes nothing: mlx-lm's factor is scale";
    told("rank: 4, alpha: 64, scale: 3.0", 12.0, ignored);
    told("rank: 4, scale: 3.0, alpha: 64", 12.0, ignored);
    told(
        "rank: 4, alpha: 64",
        64.0,
        "mlx-lm refuses alpha without scale",
    );
    told("rank: 4", 80.0, "");
}

/// Share that a step of decay alone, about, leaves of a norm's weight and of a matrix.
fn left_by_decay(compat: &str) -> [f32; 2] {
    let fixture = with("");
    let decay =
        "--optimizer sgd --optimizer-config {\"sgd\":{\"weight_decay\":1e4}} --learning-rate 1e-5";
    let full = format!("train --model model --data data --fine-tune-type full --iters 1 {decay}");
    fixture.ok(&format!("{full} --max-grad-norm 0 --compat {compat}"));
    let [before, after] = ["model", "adapters"].map(|folder| {
        let tensors = fixture.tensors(&format!("{folder}/model.safetensors"));
        ["input_layernorm", "mlp.up_proj"].map(|name| {
            let weight = &tensors[&format!("model.layers.1.{name}.weight")];
            let squares = weight.sqr().unwrap().sum_all().unwrap();
            squares.to_scalar::<f32>().unwrap().sqrt()
        })
    });
    [after[0] / before[0], after[1] / before[1]]
}

#[test]
fn norms_decay_with_its_rules_alone() {
    for (compat, norm) in [("mlx --num-layers 1", 0.9), ("none", 1.0)] {
        let left = left_by_decay(compat);
        let off = [left[0] - norm, left[1] - 0.9].map(f32::abs);
        assert!(off.into_iter().all(|off| off < 1e-3), "{compat}: {left:?}");
    }
}
