//! Losses, gradients and final adapters equal those of PyTorch with PEFT.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::{Device, Tensor};
use metal_candle::data::Batch;
use metal_candle::lora::{self, LoraConfig, Mode, Plan, Targets, format::peft};
use metal_candle::models::Model;
use metal_candle::train::step::{StepResult, step};
use metal_candle::train::{Decay, Gradients, Optimizer, Options, Parameters, Schedule};
use std::path::Path;
use support::{attach, golden, max_difference, model, tensors};

/// The rows of a step as a batch: `ids` and `labels` are `(rows, T)`, labels not shifted.
fn batch(ids: &Tensor, labels: &Tensor) -> Batch {
    let (rows, t) = ids.dims2().unwrap();
    let inputs = ids.narrow(1, 0, t - 1).unwrap();
    let targets: Vec<i64> = flat(&labels.narrow(1, 1, t - 1).unwrap());
    Batch {
        n_rows: rows,
        n_tokens: t - 1,
        inputs: support::ids(&inputs),
        trained_tokens: targets.iter().filter(|&&target| target >= 0).count(),
        targets,
        lines: (1..=rows).collect(),
    }
}

fn flat(t: &Tensor) -> Vec<i64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn ready(name: &str, adapter: &Path) -> (Model, Parameters) {
    let mut model = model(name);
    attach(&mut model, adapter);
    let parameters = Parameters::adapters(&model);
    (model, parameters)
}

/// The settings of `scripts/golden/training.py`.
fn options() -> Options {
    Options {
        schedule: Schedule {
            peak: 1e-2,
            warmup_steps: 0,
            decay: Decay::Constant,
            total_steps: 10,
        },
        weight_decay: 0.01,
        max_grad_norm: 1.0,
        ..Options::default()
    }
}

fn run_step(model: &Model, parameters: &Parameters, batch: &Batch, recompute: bool) -> StepResult {
    step(
        &model.decoder,
        parameters,
        batch,
        Mode::training(0),
        recompute,
    )
    .unwrap()
}

fn norm(gradients: &Gradients) -> f64 {
    let squares = gradients.as_slice().iter().flatten().map(|g| {
        let square: f32 = g.sqr().unwrap().sum_all().unwrap().to_scalar().unwrap();
        f64::from(square)
    });
    squares.sum::<f64>().sqrt()
}

fn frobenius(t: &Tensor) -> f32 {
    t.sqr()
        .unwrap()
        .sum_all()
        .unwrap()
        .sqrt()
        .unwrap()
        .to_scalar()
        .unwrap()
}

fn assert_near(got: f64, want: f64, what: &str) {
    assert!(
        (got - want).abs() < 1e-4 * want,
        "{what}: {got}, expected {want}"
    );
}

fn train(name: &str, variant: &str) {
    let folder = golden(name).join("train");
    let batches = tensors(&folder.join("batches.safetensors"));
    let text = std::fs::read_to_string(folder.join("losses.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: String| serde_json::from_value::<Vec<f64>>(golden[key].clone()).unwrap();
    let losses = numbers(variant.to_string());
    let norms = numbers(format!("{variant}_grad_norm"));
    assert_eq!((losses.len(), norms.len()), (10, 10));
    let (model, parameters) = ready(name, &folder.join("initial_adapter"));
    let mut optimizer = Optimizer::new(&parameters).unwrap();
    let labels = &batches[&format!("labels_{variant}")];
    for (i, (want_loss, want_norm)) in losses.into_iter().zip(norms).enumerate() {
        let batch = batch(
            &batches["input_ids"].get(i).unwrap(),
            &labels.get(i).unwrap(),
        );
        let result = run_step(&model, &parameters, &batch, false);
        let mean = 1.0 / batch.trained_tokens as f64;
        assert_near(
            result.loss_sum * mean,
            want_loss,
            &format!("{name} {variant} loss {i}"),
        );
        let grad_norm = norm(&result.gradients) * mean;
        assert_near(
            grad_norm,
            want_norm,
            &format!("{name} {variant} gradient norm {i}"),
        );
        let scale = mean * (1.0 / (grad_norm + 1e-6)).min(1.0);
        optimizer
            .step(&parameters, &result.gradients, &options(), 1e-2, scale)
            .unwrap();
    }
    let want = tensors(&folder.join(format!("final_adapter_{variant}/adapter_model.safetensors")));
    assert_eq!(want.len(), parameters.as_slice().len());
    for parameter in parameters.as_slice() {
        let want = &want[&format!("base_model.model.{}", parameter.name)];
        let size = frobenius(want);
        let difference = frobenius(&(parameter.var.as_tensor() - want).unwrap());
        assert!(
            difference < 1e-4 * size,
            "{}: {difference} of {size}",
            parameter.name
        );
    }
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    for name in ["qwen2", "qwen3"] {
        train(name, "full");
    }
}

#[test]
fn ten_masked_losses_and_the_final_adapter_equal_peft() {
    for name in ["qwen2", "qwen3"] {
        train(name, "masked");
    }
}

#[test]
fn accumulated_gradients_equal_pytorch_for_every_split() {
    let folder = golden("qwen2").join("train");
    let batches = tensors(&folder.join("batches.safetensors"));
    let want = tensors(&folder.join("gradients.safetensors"));
    let (model, parameters) = ready("qwen2", &folder.join("accumulation_adapter"));
    let (ids, labels) = (
        batches["input_ids"].get(0).unwrap(),
        batches["labels_masked"].get(0).unwrap(),
    );
    for rows in [1, 2, 4] {
        let mut sum = Gradients::none(&parameters);
        let mut tokens = 0;
        for first in (0..4).step_by(rows) {
            let part = |t: &Tensor| t.narrow(0, first, rows).unwrap();
            let batch = batch(&part(&ids), &part(&labels));
            tokens += batch.trained_tokens;
            sum.add(run_step(&model, &parameters, &batch, false).gradients)
                .unwrap();
        }
        for (parameter, gradient) in parameters.as_slice().iter().zip(sum.as_slice()) {
            let mean = (gradient.as_ref().unwrap() / tokens as f64).unwrap();
            let want = &want[&format!("base_model.model.{}", parameter.name)];
            let difference = max_difference(&mean, want);
            assert!(difference < 1e-5, "{rows} {}: {difference}", parameter.name);
        }
    }
}

#[test]
fn recomputed_blocks_give_the_same_gradients_to_the_bit() {
    let folder = golden("qwen3").join("train");
    let batches = tensors(&folder.join("batches.safetensors"));
    let (mut model, _) = ready("qwen3", &folder.join("initial_adapter"));
    for (_, layer) in model.decoder.linears_mut() {
        if let Some(mut adapter) = layer.adapter().cloned() {
            adapter.dropout = 0.3;
            adapter.b =
                candle_core::Var::from_tensor(&adapter.b.affine(1.0, 0.1).unwrap()).unwrap();
            layer.set_adapter(Some(adapter));
        }
    }
    let parameters = Parameters::adapters(&model);
    let batch = batch(
        &batches["input_ids"].get(0).unwrap(),
        &batches["labels_full"].get(0).unwrap(),
    );
    let kept = run_step(&model, &parameters, &batch, false);
    let again = run_step(&model, &parameters, &batch, true);
    assert_eq!(kept.loss_sum, again.loss_sum);
    for (a, b) in kept
        .gradients
        .as_slice()
        .iter()
        .zip(again.gradients.as_slice())
    {
        assert_eq!(
            max_difference(a.as_ref().unwrap(), b.as_ref().unwrap()),
            0.0
        );
    }
    let other = step(
        &model.decoder,
        &parameters,
        &batch,
        Mode::training(1),
        false,
    )
    .unwrap();
    assert_ne!(
        kept.loss_sum, other.loss_sum,
        "dropout is on and follows the seed"
    );
}

#[test]
fn an_adapter_that_is_written_is_read_back_and_has_pefts_keys() {
    let folder = golden("llama3").join("adapter");
    let mut model = model("llama3");
    attach(&mut model, &folder);
    let parameters = lora::parameters(model.decoder.linears());
    let out = tempfile::tempdir().unwrap();
    let adapter = peft::read(&folder).unwrap();
    peft::write(out.path(), &adapter.config, "base", &parameters).unwrap();
    let read = peft::read(out.path()).unwrap();
    assert_eq!(read.config, adapter.config);
    let (ours, theirs) = (
        tensors(&out.path().join("adapter_model.safetensors")),
        tensors(&folder.join("adapter_model.safetensors")),
    );
    assert_eq!(ours.len(), theirs.len());
    for (key, tensor) in &theirs {
        assert_eq!(max_difference(&ours[key], tensor), 0.0, "{key}");
    }
}

/// PEFT refuses a text as targets beside a list of blocks.
#[test]
fn adapters_on_some_blocks_are_written_with_names() {
    let blocks = LoraConfig {
        layers_to_transform: Some(vec![1]),
        ..LoraConfig::default()
    };
    let regex = LoraConfig {
        targets: Targets::Regex(r".*\.(q_proj|up_proj)".into()),
        ..blocks.clone()
    };
    for (config, n_targets) in [(blocks, 7), (regex, 2)] {
        let mut model = model("qwen2");
        let plan = Plan::new(&config, &model.decoder.linear_infos().unwrap()).unwrap();
        lora::attach(model.decoder.linears_mut(), &plan, 0, &Device::Cpu).unwrap();
        let parameters = lora::parameters(model.decoder.linears());
        let folder = tempfile::tempdir().unwrap();
        peft::write(folder.path(), &config, "base", &parameters).unwrap();
        let read = peft::read(folder.path()).unwrap();
        let Targets::Names(names) = &read.config.targets else {
            panic!("{}", read.config.targets);
        };
        assert_eq!(names.len(), n_targets);
        let again = Plan::new(&read.config, &model.decoder.linear_infos().unwrap()).unwrap();
        assert_eq!(again, plan);
        peft::load_into(&read, &parameters).unwrap();
    }
}

#[test]
fn all_weights_train_with_a_tied_and_an_untied_head() {
    for name in ["qwen2", "qwen3"] {
        let batches = tensors(&golden(name).join("train/batches.safetensors"));
        let mut model = model(name);
        let parameters = Parameters::all_weights(&mut model).unwrap();
        let first = |key: &str| batches[key].get(0).unwrap();
        let batch = batch(&first("input_ids"), &first("labels_full"));
        let gradients = run_step(&model, &parameters, &batch, false).gradients;
        check_derivatives(&model, &parameters, &batch, &gradients);
    }
}

/// The slope of the loss along each parameter's gradient is the norm of that gradient.
fn check_derivatives(model: &Model, parameters: &Parameters, batch: &Batch, gradients: &Gradients) {
    let h = 1e-3;
    for (parameter, gradient) in parameters.as_slice().iter().zip(gradients.as_slice()) {
        let gradient = gradient.as_ref().expect(&parameter.name);
        let norm = f64::from(frobenius(gradient));
        let start = parameter.var.as_tensor().copy().unwrap();
        let loss = |distance: f64| {
            let moved = (&start + (gradient * (distance / norm)).unwrap()).unwrap();
            parameter.var.set(&moved).unwrap();
            run_step(model, parameters, batch, false).loss_sum
        };
        let slope = (loss(h) - loss(-h)) / (2.0 * h);
        parameter.var.set(&start).unwrap();
        let error = (slope - norm).abs();
        assert!(
            error < 0.01 * norm + 0.05,
            "{}: {slope} {norm}",
            parameter.name
        );
    }
}
