use crate::fixture::{Fixture, write_model};
use serde_json::Value;

const WEIGHTS: &str = "adapters/adapter_model.safetensors";

#[test]
fn reports_metrics_and_files() {
    let fixture = Fixture::new();
    let ended = fixture.train("--steps-per-eval 2 --val-batches -1 --save-every 3");
    for text in [
        "Iter 0: Val loss ",
        "Iter 2: Train loss ",
        "Learning Rate 1.000e-2",
        "It/sec ",
        "Tokens/sec ",
        "Trained Tokens ",
        "Peak mem ",
        "Iter 4: Val loss ",
        "saved in adapters",
    ] {
        assert!(
            ended.stdout.contains(text),
            "no {text:?} in\n{}",
            ended.stdout
        );
    }
    let lines = fixture.read("adapters/metrics.jsonl");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names = [
        "step",
        "learning_rate",
        "tokens_per_sec",
        "trained_tokens",
        "peak_memory_bytes",
    ];
    for line in &lines {
        assert!(names.iter().all(|name| line[name].is_number()), "{line}");
        assert!(
            line["train_loss"].is_number() != line["val_loss"].is_number(),
            "{line}"
        );
    }
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["val_loss"].is_number())
            .count(),
        3
    );
    for file in [
        "adapter_config.json",
        "checkpoint-3/adapter_model.safetensors",
    ] {
        assert!(fixture.path("adapters").join(file).exists(), "{file}");
    }
    let config = fixture.json("adapters/adapter_config.json");
    assert_eq!(config["r"], 4);
    assert_eq!(config["base_model_name_or_path"], "model");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let fixture = Fixture::new();
    let bytes = |folder: &str, seed: u64| {
        fixture.train(&format!(
            "--dropout 0.1 --seed {seed} --adapter-path {folder}"
        ));
        std::fs::read(fixture.path(folder).join("adapter_model.safetensors")).unwrap()
    };
    let first = bytes("a", 3);
    assert_eq!(first, bytes("b", 3));
    assert_ne!(first, bytes("c", 4));
}

#[test]
fn packed_rows_train_as_padded_ones() {
    let fixture = Fixture::new();
    let losses = |folder: &str, packing: &str| -> Vec<f64> {
        fixture.train(&format!(
            "--adapter-path {folder} --steps-per-report 1 {packing}"
        ));
        let lines = fixture.read(&format!("{folder}/metrics.jsonl"));
        let lines = lines.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses =
            lines.flat_map(|line| [&line["train_loss"], &line["val_loss"]].map(Value::as_f64));
        losses.flatten().collect()
    };
    let (padded, packed) = (losses("a", "--no-packing"), losses("b", ""));
    assert_eq!(padded.len(), packed.len());
    assert!(padded.len() >= 4, "{padded:?}");
    for (padded, packed) in padded.iter().zip(&packed) {
        assert!((padded - packed).abs() < 1e-5 * padded, "{padded} {packed}");
    }
    assert_ne!(padded, packed, "sums in another order");
    assert_eq!(fixture.json("b/run.json")["packing"], true);
}

#[test]
fn rows_are_packed_where_that_changes_nothing() {
    let fixture = Fixture::new();
    let packs = |words: &str, why: &str| {
        let told = fixture
            .train(&format!("--iters 1 --overwrite -v {words}"))
            .stderr;
        assert!(told.contains(why), "{words}: no {why:?} in\n{told}");
        fixture.json("adapters/run.json")["packing"] == true
    };
    assert!(packs("", "behind each other (what would be padding"));
    assert!(!packs("--no-packing", "(--no-packing)"));
    assert!(!packs("--packing --no-packing", "(--no-packing)"));
    assert!(packs("--no-packing --packing", "(--packing)"));
    assert!(!packs("--packing=false", "(--no-packing)"));
    assert!(!packs("--compat mlx", "(mlx-lm's rules)"));
    assert!(!packs("--dropout 0.1", "dropout masks"));
    assert!(packs("--dropout 0.1 --packing", "(--packing)"));
    fixture.write(
        "run.yaml",
        "model: model\ndata: data\niters: 1\npacking: false\n",
    );
    fixture.ok("train -c run.yaml --overwrite");
    assert_eq!(fixture.json("adapters/run.json")["packing"], false);
    // A run that goes on keeps what it has.
    let resume = "--resume-adapter-file adapters";
    assert!(!packs(resume, "as in the run that this one goes on with"));
}

#[test]
fn accumulation_does_not_change_the_steps() {
    let fixture = Fixture::new();
    let splits = [(8, 1), (4, 2), (1, 8)];
    let adapters = splits.map(|(batch, accumulation)| {
        fixture.train(&format!(
            "--batch-size {batch} --grad-accumulation-steps {accumulation} --mask-prompt --iters 6 --overwrite"
        ));
        fixture.tensors(WEIGHTS)
    });
    for other in &adapters[1..] {
        for (name, expected) in &adapters[0] {
            let difference = (expected - &other[name])
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            assert!(difference.to_scalar::<f32>().unwrap() < 1e-4, "{name}");
        }
    }
}

#[test]
fn training_lowers_the_loss() {
    let fixture = Fixture::new();
    fixture.train("--iters 30 --steps-per-eval 0 --grad-checkpoint");
    let metrics = fixture.read("adapters/metrics.jsonl");
    let losses: Vec<f64> = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).unwrap()["val_loss"].as_f64())
        .collect();
    assert_eq!(losses.len(), 2);
    assert!(losses[1] < losses[0] - 1.0, "{losses:?}");
}

#[test]
fn resume_keeps_rank_alpha_and_targets() {
    let fixture = Fixture::new();
    fixture.train("--rank 3 --alpha 7 --targets q_proj,down_proj --num-layers 1");
    let before = fixture.json("adapters/adapter_config.json");
    for (from, to) in [
        ("adapters", "more"),
        ("adapters/adapter_model.safetensors", "again"),
    ] {
        let ended = fixture.train(&format!(
            "--rank 5 --resume-adapter-file {from} --adapter-path {to}"
        ));
        for text in [
            "rank 3, alpha 7",
            "Not used, the adapter has its own: --rank",
            "after 4 steps",
        ] {
            assert!(ended.stderr.contains(text), "{}", ended.stderr);
        }
        assert_eq!(fixture.json(&format!("{to}/adapter_config.json")), before);
        let (old, new) = (
            fixture.tensors(WEIGHTS),
            fixture.tensors(&format!("{to}/adapter_model.safetensors")),
        );
        assert_eq!(old.len(), 4);
        let changed = |(name, old): (&String, &candle_core::Tensor)| {
            let difference = (old - &new[name])
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap();
            difference.to_scalar::<f32>().unwrap() > 0.0
        };
        assert!(old.iter().all(changed));
    }
}

#[test]
fn resume_without_learning_changes_nothing() {
    let fixture = Fixture::new();
    fixture.train("");
    fixture.train("--resume-adapter-file adapters --adapter-path same --learning-rate 0");
    let bytes = |name: &str| std::fs::read(fixture.path(name)).unwrap();
    assert_eq!(bytes(WEIGHTS), bytes("same/adapter_model.safetensors"));
}

#[test]
fn test_split_is_evaluated_after_training() {
    let fixture = Fixture::new();
    fixture.write("data/test.jsonl", &crate::fixture::rows(5));
    let stdout = fixture.train("--train --test").stdout;
    assert!(
        stdout.contains("Test loss ") && stdout.contains("Test ppl "),
        "{stdout}"
    );
    let told = stdout.split("Test loss ").nth(1).unwrap();
    let told: f64 = told.split(',').next().unwrap().parse().unwrap();
    let words = "perplexity --model model --adapter-path adapters --data data/test.jsonl --json";
    let loss = fixture.ok_json(words)["loss"].as_f64().unwrap();
    assert!((told - loss).abs() < 1e-3, "{told} {loss}");
}

#[test]
fn full_training_leaves_a_checkpoint() {
    let fixture = Fixture::new();
    let full = "train --model model --data data --fine-tune-type full --iters 20 --batch-size 8 \
                --learning-rate 1e-2 --adapter-path trained";
    fixture.ok(full);
    let loss = |model: &str| {
        let words = format!("perplexity --model {model} --data data/valid.jsonl --json");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    assert!(loss("trained") < loss("model") - 1.0);
}

#[test]
fn num_layers_default_fits_small_models_and_minus_one_is_all() {
    let fixture = Fixture::new();
    write_model(&fixture.path("model"), 3);
    fixture.train("--num-layers -1 --iters 1");
    assert!(fixture.json("adapters/adapter_config.json")["layers_to_transform"].is_null());
    assert_eq!(fixture.tensors(WEIGHTS).len(), 2 * 7 * 2);
    fixture.train("--num-layers 1 --iters 1 --overwrite");
    assert_eq!(
        fixture.json("adapters/adapter_config.json")["layers_to_transform"],
        serde_json::json!([1])
    );
}

#[test]
fn numbers_that_break_stop_the_run_and_keep_the_last_good_adapter() {
    let fixture = Fixture::new();
    let words = format!(
        "{} --learning-rate 1e30 --max-grad-norm 0 --iters 20",
        crate::fixture::TRAIN
    );
    fixture.fails(&words, 1, &["is not finite", "data/train.jsonl", "step "]);
    fixture.ok("perplexity --model model --adapter-path adapters --data data/valid.jsonl");
}

/// The figure of the last report is that of the end; one micro-batch a step has none.
#[test]
fn noise_of_gradients_is_told_of_several_micro_batches() {
    let fixture = Fixture::new();
    let words = "--iters 30 --learning-rate 1e-5 --grad-accumulation-steps";
    let ended = fixture.train(&format!("{words} 4"));
    let lines = fixture.read("adapters/metrics.jsonl");
    let reports = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut scales = reports.filter_map(|line: Value| line["gradient_noise_scale"].as_f64());
    let rows = scales.next_back().unwrap().ceil();
    let expected = format!("Gradient noise scale about {rows} rows: a step of 16 rows learns");
    assert!(
        ended.stdout.contains(&expected),
        "{expected}: {}",
        ended.stdout
    );
    let ended = fixture.train(&format!("{words} 1 --overwrite"));
    assert!(!ended.stdout.contains("noise"), "{}", ended.stdout);
    assert!(!fixture.read("adapters/metrics.jsonl").contains("noise"));
}
