//! Adapters that begin with what the training rows vary in are those of PEFT.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::{DType, Tensor};
use metal_candle::data::{Example, TrainedPlaces};
use metal_candle::language_model::Adapted;
use metal_candle::layout::Arrangement;
use metal_candle::lora::{Eva, Init, LoraConfig, Method, Targets};
use metal_candle::models::Model;
use metal_candle::train::{EvaProgress, Parameters};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use support::training::losses;
use support::{adapted, golden, model, tensors};

/// See `scripts/golden/eva.py`.
const RUNS: [&str; 5] = ["one-batch", "batches", "left-out", "same-ranks", "patterns"];

fn folder(run: &str) -> PathBuf {
    golden("eva").join(run)
}

fn json(run: &str, file: &str) -> Value {
    let text = std::fs::read_to_string(folder(run).join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Settings of a run, but for those of EVA.
fn lora(run: &str) -> LoraConfig {
    let names = |names: &[&str]| Targets::Names(names.iter().map(|n| n.to_string()).collect());
    let default = LoraConfig::default();
    match run {
        "batches" => LoraConfig {
            r: 3,
            alpha: 8.0,
            ..default
        },
        "left-out" => LoraConfig {
            r: 1,
            alpha: 3.0,
            use_rslora: true,
            ..default
        },
        "same-ranks" => LoraConfig {
            r: 3,
            alpha: 5.0,
            use_rslora: true,
            targets: names(&["q_proj", "down_proj", "lm_head"]),
            ..default
        },
        "patterns" => LoraConfig {
            r: 3,
            alpha: 5.0,
            method: Method::Dora,
            targets: names(&["q_proj", "v_proj", "up_proj", "embed_tokens"]),
            rank_pattern: vec![("v_proj".into(), 5)],
            alpha_pattern: vec![("v_proj".into(), 20.0), ("up_proj".into(), 3.0)],
            ..default
        },
        _ => LoraConfig {
            r: 4,
            alpha: 8.0,
            ..default
        },
    }
}

fn config(run: &str) -> LoraConfig {
    let settings = json(run, "config.json");
    let number = |name: &str| settings[name].as_f64().unwrap();
    LoraConfig {
        init: Init::Eva,
        eva: Eva {
            rho: number("rho"),
            tau: number("tau"),
            ..Eva::default()
        },
        ..lora(run)
    }
}

/// The batches of `labels`, of which no first token is trained.
fn batches(labels: &str, arrangement: Arrangement) -> Vec<TrainedPlaces> {
    let all = tensors(&golden("qwen3/train/batches.safetensors"));
    let rows = |name: &str| all[name].flatten_to(1).unwrap().to_vec2::<i64>().unwrap();
    let examples = rows("input_ids").into_iter().zip(rows(labels));
    let examples = examples.map(|(ids, labels)| Example {
        tokens: ids.iter().map(|id| *id as u32).collect(),
        trained: (0..)
            .zip(&labels)
            .map(|(i, of)| i > 0 && *of >= 0)
            .collect(),
        line: 1,
        pair: None,
    });
    let examples: Vec<Example> = examples.collect();
    let batches = examples.chunks(4);
    batches
        .map(|rows| TrainedPlaces::new(arrangement, rows))
        .collect()
}

fn begun(run: &str, model: &Model, arrangement: Arrangement) -> (Adapted, EvaProgress) {
    let settings = json(run, "config.json");
    let mut batches = batches(settings["labels"].as_str().unwrap(), arrangement);
    // PEFT looks at it again, and sees the same.
    batches.truncate(if run == "one-batch" { 1 } else { batches.len() });
    Adapted::eva(model, config(run), batches, 0, &mut |_| {}).unwrap()
}

/// Ranks, or alphas, by the paths of layers.
fn by_path(pattern: &Value) -> BTreeMap<String, f64> {
    let entries = pattern.as_object().unwrap().iter();
    entries
        .map(|(path, value)| (path.clone(), value.as_f64().unwrap()))
        .collect()
}

#[test]
fn ranks_and_the_number_of_batches_are_those_of_peft() {
    for run in RUNS {
        let model = model("qwen3");
        let (ours, progress) = begun(run, &model, Arrangement::Padded);
        let theirs = json(run, "initial_adapter/adapter_config.json");
        let n_batches = json(run, "config.json")["n_batches"].as_u64().unwrap();
        assert_eq!(progress.batches as u64, n_batches, "{run}");
        let ranks = ours.config.rank_pattern.iter();
        let ranks: BTreeMap<String, f64> = ranks.map(|(p, r)| (p.clone(), *r as f64)).collect();
        assert_eq!(ranks, by_path(&theirs["rank_pattern"]), "{run}");
        let alphas: BTreeMap<String, f64> = ours.config.alpha_pattern.iter().cloned().collect();
        let want = by_path(&theirs["alpha_pattern"]);
        assert_eq!(
            alphas.keys().collect::<Vec<_>>(),
            want.keys().collect::<Vec<_>>(),
            "{run}"
        );
        for (path, alpha) in want {
            assert!((alphas[&path] - alpha).abs() < 1e-12, "{run} {path}");
        }
        // Places and factors as PEFT's file gives them.
        let read = adapted(&model, &folder(run).join("initial_adapter"), |_| {});
        assert_eq!(ours.plan.placements.len(), read.plan.placements.len());
        for (ours, theirs) in ours.plan.placements.iter().zip(&read.plan.placements) {
            assert_eq!((&ours.path, ours.r), (&theirs.path, theirs.r), "{run}");
            assert!(
                (ours.scale - theirs.scale).abs() < 1e-12,
                "{run} {}",
                ours.path
            );
        }
    }
}

/// Signs are free.
#[test]
fn components_are_those_of_peft() {
    for run in RUNS {
        for arrangement in [Arrangement::Padded, Arrangement::Packed] {
            let model = model("qwen3");
            let (ours, _) = begun(run, &model, arrangement);
            let ours: HashMap<_, _> = ours.set.parameters().into_iter().collect();
            let theirs = folder(run).join("initial_adapter/adapter_model.safetensors");
            for (key, theirs) in tensors(&theirs) {
                let name = key.strip_prefix("base_model.model.").unwrap();
                if name.ends_with("lora_A.weight") {
                    let least = least_cosine(&ours[name], &theirs);
                    assert!(least > 1.0 - 1e-3, "{run} {name}: {least}");
                } else if name.ends_with("lora_B.weight") {
                    let square = ours[name].sqr().unwrap().sum_all().unwrap();
                    assert_eq!(square.to_scalar::<f32>().unwrap(), 0.0, "{run} {name}");
                }
            }
        }
    }
}

fn least_cosine(ours: &Tensor, theirs: &Tensor) -> f64 {
    let f64s = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let cosines = (f64s(ours) * f64s(theirs)).unwrap().sum(1).unwrap();
    let cosines = cosines.abs().unwrap().to_vec1::<f64>().unwrap();
    cosines.into_iter().fold(f64::INFINITY, f64::min)
}

/// From our beginning, but where the token embedding's is at random.
#[test]
fn ten_losses_are_those_of_peft() {
    let batches = tensors(&golden("qwen3/train/batches.safetensors"));
    for run in RUNS {
        let model = model("qwen3");
        let set = match run {
            "patterns" => adapted(&model, &folder(run).join("initial_adapter"), |_| {}).set,
            _ => begun(run, &model, Arrangement::Padded).0.set,
        };
        let parameters = Parameters::of_adapters(set, &model.decoder);
        let got = losses(
            &model,
            &parameters,
            &batches["input_ids"],
            &batches["labels_full"],
        );
        let want: Vec<f64> =
            serde_json::from_value(json(run, "losses.json")["full"].clone()).unwrap();
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(
                (got - want).abs() < 1e-3 * want,
                "{run} loss {i}: {got}, {want}"
            );
        }
    }
}

#[test]
fn what_is_saved_is_plain_lora() {
    for run in RUNS {
        let model = model("qwen3");
        let (adapter, _) = begun(run, &model, Arrangement::Padded);
        let out = tempfile::tempdir().unwrap();
        adapter.save(out.path(), "base").unwrap();
        let text = std::fs::read_to_string(out.path().join("adapter_config.json")).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["init_lora_weights"], true, "{run}");
        let read = adapted(&model, out.path(), |_| {});
        assert_eq!(read.plan, adapter.plan, "{run}");
        let (read, was) = (read.set.parameters(), adapter.set.parameters());
        for ((name, a), (other, b)) in read.iter().zip(&was) {
            assert_eq!((name, support::max_difference(a, b)), (other, 0.0));
        }
    }
}

/// Inputs need no weights, and so no dense ones.
#[test]
fn a_packed_model_has_components() {
    let model = model("mlx-4bit");
    let tokens: Vec<u32> = (1..41).collect();
    let example = Example {
        trained: vec![true; tokens.len()],
        tokens,
        line: 1,
        pair: None,
    };
    let batch = TrainedPlaces::new(Arrangement::Padded, &[example]);
    let config = LoraConfig {
        init: Init::Eva,
        r: 2,
        ..LoraConfig::default()
    };
    let (adapter, _) = Adapted::eva(&model, config, [batch], 0, &mut |_| {}).unwrap();
    for (name, a) in adapter.set.parameters() {
        if name.ends_with("lora_A.weight") {
            let unit = a.matmul(&a.t().unwrap()).unwrap();
            let eye = Tensor::eye(unit.dims()[0], DType::F32, unit.device()).unwrap();
            assert!(support::max_difference(&unit, &eye) < 1e-5, "{name}");
        }
    }
}

#[test]
fn what_cannot_begin_so_is_refused() {
    let model = model("qwen3");
    let refused = |change: &dyn Fn(&mut LoraConfig), said: &str| {
        let mut config = config("batches");
        change(&mut config);
        let rows = batches("labels_full", Arrangement::Padded);
        let error = Adapted::eva(&model, config, rows, 0, &mut |_| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    refused(
        &|c| c.eva.rho = 0.5,
        "eva_rho must be a finite number, at least 1, got 0.5",
    );
    refused(&|c| c.eva.rho = f64::NAN, "eva_rho");
    refused(&|c| c.eva.tau = 1.5, "eva_tau must be from 0 to 1, got 1.5");
    refused(
        &|c| c.eva.max_batches = 0,
        "eva_max_batches must be at least 1",
    );
    refused(&|c| c.method = Method::Loha, "got eva with loha");
    refused(&|c| c.r = 40, "80 for model.layers.0");
    let plain = Adapted::fresh(&model, config("batches"), 0).unwrap_err();
    assert!(
        plain.to_string().contains("where no rows are given"),
        "{plain}"
    );
}

/// The head is the embedding, and would have its adapter.
#[test]
fn an_adapter_of_two_layers_is_refused() {
    let model = model("qwen2");
    let config = LoraConfig {
        targets: Targets::Names(vec!["q_proj".into(), "embed_tokens".into()]),
        ensure_weight_tying: true,
        ..config("batches")
    };
    let rows = batches("labels_full", Arrangement::Padded);
    let error = Adapted::eva(&model, config, rows, 0, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("one adapter is for two layers"),
        "{error}"
    );
}

#[test]
fn the_search_ends_with_the_batches_that_are_allowed() {
    let model = model("qwen3");
    let mut config = config("batches");
    config.eva.max_batches = 2;
    let rows = batches("labels_full", Arrangement::Padded);
    let mut told = vec![];
    let (_, progress) = Adapted::eva(&model, config, rows, 0, &mut |p| told.push(p)).unwrap();
    assert_eq!((progress.batches, told.len()), (2, 2));
    assert!(progress.settled < progress.layers && progress.layers == 21);
}

#[test]
fn too_few_trained_tokens_are_told() {
    let model = model("qwen3");
    let mut rows = batches("labels_full", Arrangement::Padded);
    for batch in &mut rows {
        batch.places.truncate(5);
    }
    let error = Adapted::eva(&model, config("batches"), rows, 0, &mut |_| {}).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("got at most 5 for 6"), "{error}");
}
