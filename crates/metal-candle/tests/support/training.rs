//! Steps of training, on any device.

use super::{golden, max_difference, model_on, tensors};
use candle_core::{Device, Tensor};
use metal_candle::data::{Batch, Example};
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::Mode;
use metal_candle::models::Model;
use metal_candle::train::step::{StepResult, step};
use metal_candle::train::{Adam, Gradients, Optimizer, Options, Parameters, Rule, Schedule};

/// The rows of a step as a batch: `ids` and `labels` are `(rows, T)`, labels not shifted.
pub fn batch(ids: &Tensor, labels: &Tensor) -> Batch {
    let (rows, t) = ids.dims2().unwrap();
    let inputs = ids.narrow(1, 0, t - 1).unwrap();
    let targets: Vec<i64> = flat(&labels.narrow(1, 1, t - 1).unwrap());
    Batch {
        layout: Layout::new(Arrangement::Padded, &vec![t - 1; rows]),
        inputs: super::ids(&inputs),
        trained_tokens: targets.iter().filter(|&&target| target >= 0).count(),
        targets,
        lines: (1..=rows).collect(),
        ..Batch::default()
    }
}

fn flat(t: &Tensor) -> Vec<i64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// The model of the golden folder `run`, with the adapter in its folder `adapter`.
pub fn ready(run: &str, adapter: &str, device: &Device) -> (Model, Parameters) {
    let name = run.rsplit_once('/').map_or(run, |(name, _)| name);
    let mut model = model_on(name, device);
    let folder = golden(run).join(adapter);
    let set = super::adapter(&mut model, &folder);
    let parameters = Parameters::of_adapters(set, &model.decoder);
    (model, parameters)
}

/// The settings of `scripts/golden/training.py`.
fn options() -> Options {
    Options {
        schedule: Schedule::constant(1e-2),
        max_grad_norm: 1.0,
        ..Options::default()
    }
}

pub fn run_step(
    model: &Model,
    parameters: &Parameters,
    batch: &Batch,
    recompute: bool,
) -> StepResult {
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

pub fn frobenius(t: &Tensor) -> f32 {
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

fn on_host(t: &Tensor) -> Tensor {
    t.to_device(&Device::Cpu).unwrap()
}

/// Mean losses before each of some steps on `ids` and `labels`, `(steps, rows, T)`.
pub fn losses(model: &Model, parameters: &Parameters, ids: &Tensor, labels: &Tensor) -> Vec<f64> {
    losses_by((options().rule, 1e-2), model, parameters, ids, labels)
}

/// [`losses`] of steps by `rule` with this learning rate.
pub fn losses_by(
    (rule, rate): (Rule, f64),
    model: &Model,
    parameters: &Parameters,
    ids: &Tensor,
    labels: &Tensor,
) -> Vec<f64> {
    let mut optimizer = Optimizer::new(rule, parameters).unwrap();
    let step = |i: usize| {
        let batch = batch(&ids.get(i).unwrap(), &labels.get(i).unwrap());
        let result = run_step(model, parameters, &batch, false);
        let mean = 1.0 / batch.trained_tokens as f64;
        let grad_norm = norm(&result.gradients) * mean;
        let scale = mean * (1.0 / (grad_norm + 1e-6)).min(1.0);
        let gradients = &result.gradients;
        let stepped = optimizer.step(parameters, gradients, rate, scale);
        stepped.unwrap();
        result.loss_sum * mean
    };
    (0..ids.dims()[0]).map(step).collect()
}

/// Loss and norm of the gradient with NEFTune's noise equal transformers', for several seeds.
pub fn noisy_losses_equal_transformers(run: &str, device: &Device) {
    let text = std::fs::read_to_string(golden("neftune/losses.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: &str| golden["runs"][run][key].as_array().unwrap();
    let alpha = golden["alpha"].as_f64().unwrap();
    let batches = tensors(&super::golden(run).join("batches.safetensors"));
    let first = |name: &str| batches[name].get(0).unwrap();
    let batch = batch(&first("input_ids"), &first("labels_full"));
    let (model, parameters) = ready(run, "initial_adapter", device);
    for (i, seed) in golden["seeds"].as_array().unwrap().iter().enumerate() {
        let mode = Mode::training(seed.as_u64().unwrap()).with_neftune(alpha);
        let got = step(&model.decoder, &parameters, &batch, mode, false).unwrap();
        let mean = 1.0 / batch.trained_tokens as f64;
        let want = |key: &str| numbers(key)[i].as_f64().unwrap();
        assert_near(
            got.loss_sum * mean,
            want("losses"),
            &format!("{run}, loss {i}"),
        );
        let norm = norm(&got.gradients) * mean;
        assert_near(norm, want("grad_norms"), &format!("{run}, gradient {i}"));
    }
}

/// Ten steps, and where they end, equal those of PEFT; `variant` is `full` or `masked`.
pub fn ten_losses_and_the_final_adapter_equal_peft(run: &str, variant: &str, device: &Device) {
    let folder = golden(run);
    let batches = tensors(&folder.join("batches.safetensors"));
    let text = std::fs::read_to_string(folder.join("losses.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |key: String| serde_json::from_value::<Vec<f64>>(golden[key].clone()).unwrap();
    let losses = numbers(variant.to_string());
    let norms = numbers(format!("{variant}_grad_norm"));
    assert_eq!((losses.len(), norms.len()), (10, 10));
    let (model, parameters) = ready(run, "initial_adapter", device);
    let mut optimizer = Optimizer::new(options().rule, &parameters).unwrap();
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
            &format!("{run} {variant} loss {i}"),
        );
        let grad_norm = norm(&result.gradients) * mean;
        assert_near(
            grad_norm,
            want_norm,
            &format!("{run} {variant} gradient norm {i}"),
        );
        let scale = mean * (1.0 / (grad_norm + 1e-6)).min(1.0);
        optimizer
            .step(&parameters, &result.gradients, 1e-2, scale)
            .unwrap();
    }
    let want = tensors(&folder.join(format!("final_adapter_{variant}/adapter_model.safetensors")));
    assert_eq!(want.len(), parameters.as_slice().len());
    for parameter in parameters.as_slice() {
        let want = &want[&format!("base_model.model.{}", parameter.name)];
        let size = frobenius(want);
        let difference = frobenius(&(on_host(parameter.var.as_tensor()) - want).unwrap());
        assert!(
            difference < 1e-4 * size,
            "{}: {difference} of {size}",
            parameter.name
        );
    }
}

pub fn three_steps_of_lora_plus_equal_peft(device: &Device) {
    let batches = tensors(&golden("qwen2/train-dora/batches.safetensors"));
    let three = |name: &str| batches[name].narrow(0, 0, 3).unwrap();
    let (model, parameters) = ready("qwen2/train-dora", "initial_adapter", device);
    let parameters = parameters.lora_plus(16.0);
    let rule = Rule::Adam(Adam {
        weight_decay: 0.1,
        ..Adam::default()
    });
    let (ids, labels) = (three("input_ids"), three("labels_masked"));
    let got = losses_by((rule, 1e-3), &model, &parameters, &ids, &labels);
    let text = std::fs::read_to_string(golden("loraplus/losses.json")).unwrap();
    let want: Vec<f64> = serde_json::from_str(&text).unwrap();
    assert_eq!(want.len(), got.len());
    for (got, want) in got.into_iter().zip(want) {
        assert_near(got, want, "loss of LoRA+");
    }
    let want = tensors(&golden("loraplus/adapter.safetensors"));
    for parameter in parameters.as_slice() {
        let want = &want[&format!("base_model.model.{}", parameter.name)];
        let off = frobenius(&(on_host(parameter.var.as_tensor()) - want).unwrap());
        assert!(off < 1e-4 * frobenius(want), "{}: {off}", parameter.name);
    }
}

/// Trains `n` steps.
pub fn steps(n: usize, device: &Device, mut after_each: impl FnMut()) {
    let run = "qwen2/train";
    let batches = tensors(&golden(run).join("batches.safetensors"));
    let (model, parameters) = ready(run, "initial_adapter", device);
    let part = |name: &str| batches[name].get(0).unwrap();
    let batch = batch(&part("input_ids"), &part("labels_masked"));
    let mut optimizer = Optimizer::new(options().rule, &parameters).unwrap();
    for _ in 0..n {
        let gradients = run_step(&model, &parameters, &batch, false).gradients;
        optimizer.step(&parameters, &gradients, 1e-4, 1.0).unwrap();
        after_each();
    }
}

pub fn accumulated_gradients_equal_pytorch_for_every_split(run: &str, device: &Device) {
    let folder = golden(run);
    let batches = tensors(&folder.join("batches.safetensors"));
    let want = tensors(&folder.join("gradients.safetensors"));
    let (model, parameters) = ready(run, "accumulation_adapter", device);
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

/// Rows of several lengths, of which some begin with tokens that are not trained.
fn ragged() -> Vec<Example> {
    let example = |(line, len): (usize, u32)| Example {
        tokens: (0..len).map(|t| (t * t + 3 * line as u32) % 40).collect(),
        trained: (0..len).map(|t| t as usize > line % 3).collect(),
        line,
        pair: None,
    };
    [9, 31, 5, 2, 17]
        .into_iter()
        .enumerate()
        .map(example)
        .collect()
}

/// Losses and gradients of rows side by side, behind each other, and one by one.
pub fn packed_rows_train_as_padded_ones(device: &Device) {
    let examples = ragged();
    let all: Vec<&Example> = examples.iter().collect();
    let [padded, packed] =
        [Arrangement::Padded, Arrangement::Packed].map(|rows| Batch::new(rows, &all));
    assert_eq!(
        (padded.layout.dims(), packed.layout.dims()),
        ((5, 30), (1, 59))
    );
    for (name, adapter) in [
        ("qwen2", "adapter"),
        ("qwen3", "adapter"),
        ("qwen2/train-dora", "accumulation_adapter"),
        ("qwen2/train-ends", "accumulation_adapter"),
    ] {
        let (model, parameters) = ready(name, adapter, device);
        let result = |batch: &Batch| run_step(&model, &parameters, batch, false);
        let (want, got) = (result(&padded), result(&packed));
        let (mut loss, mut sum) = (0.0, Gradients::none(&parameters));
        for example in &all {
            let alone = result(&Batch::new(Arrangement::Padded, &[*example]));
            loss += alone.loss_sum;
            sum.add(alone.gradients).unwrap();
        }
        for (other, gradients) in [(want.loss_sum, &want.gradients), (loss, &sum)] {
            let error = (got.loss_sum - other).abs() / other;
            assert!(error < 1e-5, "{name}: {} and {other}", got.loss_sum);
            let pairs = got.gradients.as_slice().iter().zip(gradients.as_slice());
            for (got, want) in pairs {
                let (got, want) = (got.as_ref().unwrap(), want.as_ref().unwrap());
                let error = frobenius(&(got - want).unwrap()) / frobenius(want);
                assert!(error < 1e-5, "{name}: {error}");
            }
        }
    }
}
