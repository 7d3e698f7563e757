//! The run around the step: what is trained, saved, reported and refused. `crate::device` says where.

use crate::device;
use candle_core::{Device, Tensor, TensorId, Var};
use metal_candle::data::Batch;
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan, Targets, format};
use metal_candle::models::Model;
use metal_candle::train::{
    Decay, Ending, Error, Event, MetricsFile, Optimizer, Options, Output, Parameters, Reduce,
    RunFolder, Saves, Schedule, Start, Summary, Trainer,
};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

fn config() -> Value {
    json!({
        "model_type": "qwen3", "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "vocab_size": 40, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
        "hidden_act": "silu", "initializer_range": 0.2,
    })
}

pub fn model_with(lora: &LoraConfig, device: &Device) -> (Model, Parameters) {
    let model = Model::random(config(), 1, device).unwrap();
    let parameters = adapters(&model, lora);
    (model, parameters)
}

fn adapters(model: &Model, lora: &LoraConfig) -> Parameters {
    let plan = Plan::new(lora, &model.decoder.layer_infos().unwrap()).unwrap();
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 2).unwrap();
    Parameters::of_adapters(Arc::new(set), &model.decoder)
}

/// `rows` rows of 9 tokens, of which the last six have a loss.
pub fn batch(rows: usize, start: u32) -> Batch {
    let ids: Vec<u32> = (0..rows as u32 * 9).map(|i| (start + i * i) % 40).collect();
    let target = |i: usize| {
        if i % 9 < 3 {
            -100
        } else {
            i64::from((ids[i] * 7 + 1) % 40)
        }
    };
    Batch {
        layout: Layout::new(Arrangement::Padded, &vec![9; rows]),
        targets: (0..ids.len()).map(target).collect(),
        inputs: ids,
        lines: (1..=rows).collect(),
        trained_tokens: rows * 6,
    }
}

pub fn options(iters: usize) -> Options {
    Options {
        iters,
        schedule: Schedule {
            peak: 1e-2,
            warmup_steps: 0,
            decay: Decay::Constant,
            total_steps: iters,
        },
        steps_per_report: 2,
        save_every: 2,
        ..Options::default()
    }
}

pub struct Run {
    pub events: Vec<Event>,
    pub result: Result<Summary, Error>,
}

pub fn run(
    model: &Model,
    parameters: &Parameters,
    options: &Options,
    folder: &Path,
    batches: impl Iterator<Item = Vec<Batch>>,
    stop_after: usize,
) -> Run {
    let mut optimizer = Optimizer::new(parameters).unwrap();
    let run = (model, parameters, options, folder);
    run_with(&mut optimizer, run, batches, stop_after, None)
}

pub fn run_with(
    optimizer: &mut Optimizer,
    (model, parameters, options, folder): (&Model, &Parameters, &Options, &Path),
    mut batches: impl Iterator<Item = Vec<Batch>>,
    stop_after: usize,
    reduce: Option<&dyn Reduce>,
) -> Run {
    let output = Output::Adapter {
        config: LoraConfig::default(),
        base_model: "base".into(),
        tokenizer: None,
    };
    let mut folder = RunFolder::claim(folder, Start::Overwrite).unwrap();
    folder.prepare().unwrap();
    let trainer = Trainer {
        network: &model.decoder,
        parameters,
        options,
        saves: Some(Saves {
            output: &output,
            folder: &folder,
            settings: &json!({}),
        }),
        data: "train.jsonl".into(),
        reduce,
    };
    let mut events = vec![];
    let steps = std::cell::Cell::new(0);
    let mut observe = |event: &Event| {
        steps.set(steps.get() + usize::from(matches!(event, Event::Step { .. })));
        events.push(event.clone());
        Ok(())
    };
    let valid = || vec![batch(2, 5)];
    let stop = || steps.get() >= stop_after;
    let result = trainer.run(optimizer, &mut batches, Some(&valid), &mut observe, &stop);
    Run { events, result }
}

pub fn endless(rows: usize) -> impl Iterator<Item = Vec<Batch>> {
    (0..).map(move |i| vec![batch(rows, i)])
}

pub fn values(parameters: &Parameters) -> Vec<Vec<f32>> {
    let values = parameters
        .as_slice()
        .iter()
        .map(|p| p.var.flatten_all().unwrap());
    values.map(|t| t.to_vec1().unwrap()).collect()
}

#[test]
fn a_run_reports_evaluates_saves_and_learns() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let run = run(
        &model,
        &parameters,
        &options(5),
        folder.path(),
        endless(4),
        usize::MAX,
    );
    let summary = run.result.unwrap();
    assert_eq!((summary.ending, summary.steps), (Ending::Finished, 5));
    assert_eq!(summary.trained_tokens, 5 * 24);
    let mut metrics = MetricsFile::create(&folder.path().join("metrics.jsonl")).unwrap();
    run.events
        .iter()
        .for_each(|event| metrics.write(event).unwrap());
    let lines = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let steps = |key: &str| -> Vec<u64> {
        let with = lines.iter().filter(|line| line[key].is_f64());
        with.map(|line| line["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("train_loss"), [2, 4, 5]);
    assert_eq!(steps("val_loss"), [0, 5]);
    for key in [
        "learning_rate",
        "tokens_per_sec",
        "trained_tokens",
        "peak_memory_bytes",
    ] {
        assert!(lines.iter().all(|line| line[key].is_number()), "{key}");
    }
    for saved in ["checkpoint-2", "checkpoint-4", "checkpoint-5", "."] {
        format::read(&folder.path().join(saved)).unwrap();
    }
}

#[test]
fn the_same_seed_trains_the_same_adapter_to_the_bit() {
    let device = device();
    let lora = LoraConfig {
        dropout: 0.2,
        ..LoraConfig::default()
    };
    let train = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&lora, &device);
        let options = Options { seed, ..options(4) };
        run(
            &model,
            &parameters,
            &options,
            folder.path(),
            endless(4),
            usize::MAX,
        )
        .result
        .unwrap();
        values(&parameters)
    };
    assert_eq!(train(0), train(0));
    assert_ne!(train(0), train(1));
}

/// Dropout, a warm-up and a falling learning rate all depend on the number of the step.
#[test]
fn a_run_in_two_parts_trains_the_same_adapter_to_the_bit() {
    let device = device();
    let lora = LoraConfig {
        dropout: 0.2,
        ..LoraConfig::default()
    };
    let options = |iters| Options {
        schedule: Schedule {
            peak: 1e-2,
            warmup_steps: 4,
            decay: Decay::Cosine { end: 1e-4 },
            total_steps: 7,
        },
        ..options(iters)
    };
    let folder = tempfile::tempdir().unwrap();
    let (model, whole) = model_with(&lora, &device);
    let run = run(&model, &whole, &options(7), folder.path(), endless(4), 99);
    assert_eq!(run.result.unwrap().steps, 7);

    let (model, parts) = model_with(&lora, &device);
    let mut optimizer = Optimizer::new(&parts).unwrap();
    let first = options(7);
    let first = (&model, &parts, &first, folder.path());
    let first = run_with(&mut optimizer, first, endless(4), 3, None);
    assert_eq!(first.result.unwrap().ending, Ending::Stopped);
    let path = folder.path().join("checkpoint-3/optimizer.safetensors");
    let mut optimizer = Optimizer::load(&path, &parts, &device).unwrap();
    let rest = options(4);
    let rest = (&model, &parts, &rest, folder.path());
    let rest = run_with(&mut optimizer, rest, endless(4).skip(3), 99, None);
    let rest = rest.result.unwrap();
    assert_eq!((rest.ending, rest.steps), (Ending::Finished, 7));
    assert_eq!(values(&whole), values(&parts));
}

#[test]
fn every_split_of_a_batch_trains_the_same_adapter() {
    let device = device();
    let train = |rows: usize| {
        let folder = tempfile::tempdir().unwrap();
        let (model, parameters) = model_with(&LoraConfig::default(), &device);
        let whole = (0..4).map(|i| batch(8, i));
        let split = whole.map(|batch| rows_of(&batch, rows));
        let split: Vec<Vec<Batch>> = split.collect();
        let options = options(4);
        run(
            &model,
            &parameters,
            &options,
            folder.path(),
            split.into_iter(),
            usize::MAX,
        )
        .result
        .unwrap();
        values(&parameters)
    };
    let whole = train(8);
    for rows in [1, 4] {
        for (a, b) in whole.iter().flatten().zip(train(rows).iter().flatten()) {
            assert!((a - b).abs() < 2e-4, "{rows}: {a} {b}");
        }
    }
}

/// `batch` in micro-batches of `rows` rows.
fn rows_of(batch: &Batch, rows: usize) -> Vec<Batch> {
    let parts = batch
        .inputs
        .chunks(rows * 9)
        .zip(batch.targets.chunks(rows * 9));
    parts
        .map(|(inputs, targets)| Batch {
            layout: Layout::new(Arrangement::Padded, &vec![9; rows]),
            inputs: inputs.to_vec(),
            targets: targets.to_vec(),
            lines: vec![],
            trained_tokens: targets.iter().filter(|&&t| t >= 0).count(),
        })
        .collect()
}

#[test]
fn no_gradient_is_computed_for_a_frozen_weight() {
    let device = device();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let adapters: HashSet<TensorId> = parameters
        .as_slice()
        .iter()
        .filter(|parameter| parameter.name.starts_with("model.layers.1."))
        .map(|parameter| parameter.var.id())
        .collect();
    assert_eq!(adapters.len(), 14);
    let x = Var::from_tensor(&Tensor::ones((2, 5, 16), candle_core::DType::F32, &device).unwrap());
    let x = x.unwrap();
    let layout = Layout::new(Arrangement::Padded, &[5, 5]);
    let context = parameters.context(Mode::training(0));
    let pass = model.decoder.pass(&layout, &context).unwrap();
    let y = model.decoder.block(1, &x, &pass).unwrap();
    let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let reached: HashSet<TensorId> = store.get_ids().copied().collect();
    let expected = adapters.into_iter().chain([x.id()]).collect();
    assert_eq!(
        reached, expected,
        "what has a gradient is what is trained, and the input"
    );
}

#[test]
fn blocks_below_the_first_adapter_have_none_and_all_others_learn() {
    let device = device();
    let lora = LoraConfig {
        targets: Targets::Names(vec!["q_proj".into()]),
        layers_to_transform: Some(LoraConfig::last_blocks(2, 3).unwrap()),
        ..LoraConfig::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&lora, &device);
    let names: Vec<&str> = parameters
        .as_slice()
        .iter()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names.len(), 4);
    assert!(
        names.iter().all(|name| !name.contains("layers.0.")),
        "{names:?}"
    );
    let before = values(&parameters);
    run(
        &model,
        &parameters,
        &options(2),
        folder.path(),
        endless(2),
        usize::MAX,
    )
    .result
    .unwrap();
    for (before, after) in before.iter().zip(values(&parameters)) {
        assert_ne!(*before, after);
    }
}

#[test]
fn a_parameter_that_no_gradient_reaches_is_an_error() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = model_with(&LoraConfig::default(), &device);
    let mut deeper = config();
    deeper["num_hidden_layers"] = 4.into();
    let deeper = Model::random(deeper, 1, &device).unwrap();
    // The last block's have no layer in `model`.
    let parameters = adapters(&deeper, &LoraConfig::default());
    let error = run(
        &model,
        &parameters,
        &options(2),
        folder.path(),
        endless(2),
        usize::MAX,
    )
    .result
    .unwrap_err();
    assert!(
        matches!(error, Error::NoGradient { ref names } if names.len() == 14),
        "{error}"
    );
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_adapter() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let start = values(&parameters);
    let mut options = options(5);
    options.schedule.peak = 1e38;
    let run = run(
        &model,
        &parameters,
        &options,
        folder.path(),
        endless(2),
        usize::MAX,
    );
    let error = run.result.unwrap_err().to_string();
    assert!(
        error.contains("step 2") && error.contains("train.jsonl: [1, 2]"),
        "{error}"
    );
    assert_eq!(
        values(&parameters),
        start,
        "the first step made the model useless"
    );
    let saved = folder.path().join("adapter_model.safetensors");
    let saved = candle_core::safetensors::load(saved, &Device::Cpu).unwrap();
    let saved = parameters.to_vec().into_iter().map(|(name, _)| {
        let saved = saved[&format!("base_model.model.{name}")].flatten_all();
        saved.unwrap().to_vec1::<f32>().unwrap()
    });
    assert_eq!(saved.collect::<Vec<_>>(), start);
}

#[test]
fn a_run_that_is_stopped_is_saved() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let run = run(
        &model,
        &parameters,
        &options(50),
        folder.path(),
        endless(2),
        3,
    );
    let summary = run.result.unwrap();
    assert_eq!((summary.ending, summary.steps), (Ending::Stopped, 3));
    format::read(folder.path()).unwrap();
}

#[test]
fn the_optimizer_goes_on_from_its_saved_state() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    run(
        &model,
        &parameters,
        &options(2),
        folder.path(),
        endless(2),
        usize::MAX,
    )
    .result
    .unwrap();
    let path = folder.path().join("checkpoint-2/optimizer.safetensors");
    let optimizer = Optimizer::load(&path, &parameters, &device).unwrap();
    assert_eq!(optimizer.steps(), 2);
    let again = folder.path().join("again.safetensors");
    optimizer.save(&again, &parameters).unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&again).unwrap()
    );
    let fewer = LoraConfig {
        r: 4,
        ..LoraConfig::default()
    };
    let (_, fewer) = model_with(&fewer, &device);
    let error = Optimizer::load(&path, &fewer, &device)
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected [4, 24], got [8, 24]"), "{error}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let device = device();
    let folder = tempfile::tempdir().unwrap();
    let (model, parameters) = model_with(&LoraConfig::default(), &device);
    let refused = [
        Options {
            iters: 0,
            ..options(1)
        },
        Options {
            batch_size: 0,
            ..options(1)
        },
        Options {
            max_grad_norm: -1.0,
            ..options(1)
        },
        Options {
            max_grad_norm: f64::NAN,
            ..options(1)
        },
    ];
    for options in refused {
        let run = run(
            &model,
            &parameters,
            &options,
            folder.path(),
            endless(2),
            usize::MAX,
        );
        assert!(matches!(run.result, Err(Error::Setting { .. })));
    }
}
