//! Logits and greedy tokens, on any device.

use super::training::{batch, ready, run_step};
use super::{adapter, checkpoints, golden, ids, max_difference, model_on, tensors};
use candle_core::{Device, Tensor};
use metal_candle::layout::{Arrangement, Layout, Span};
use metal_candle::lora::{AdapterSet, Context};
use metal_candle::models::{CacheForm, KvCache, Model};
use std::sync::Arc;

const TOLERANCE: f32 = 1e-4;

fn logits(model: &Model, adapter: Option<&Arc<AdapterSet>>, input_ids: &Tensor) -> Tensor {
    forward_with(model, adapter, &ids(input_ids), 2)
}

/// Logits of token ids in rows of the same length.
pub fn forward(model: &Model, ids: &[u32], n_rows: usize) -> Tensor {
    forward_with(model, None, ids, n_rows)
}

pub fn forward_with(
    model: &Model,
    adapter: Option<&Arc<AdapterSet>>,
    ids: &[u32],
    n_rows: usize,
) -> Tensor {
    let layout = Layout::new(Arrangement::Padded, &vec![ids.len() / n_rows; n_rows]);
    let context = Context::inference(adapter.cloned());
    model.decoder.forward(ids, &layout, &context).unwrap()
}

pub fn logits_equal_transformers(device: &Device) {
    for name in &checkpoints() {
        let want = tensors(&golden(name).join("golden.safetensors"));
        let got = logits(&model_on(name, device), None, &want["input_ids"]);
        let difference = max_difference(&got, &want["logits"]);
        assert!(difference < TOLERANCE, "{name}: {difference}");
    }
}

pub fn adapter_logits_equal_peft_beside_and_merged(device: &Device) {
    for name in &checkpoints() {
        let want = tensors(&golden(name).join("golden.safetensors"));
        let mut model = model_on(name, device);
        let adapter = adapter(&mut model, &golden(name).join("adapter"));
        let beside = logits(&model, Some(&adapter), &want["input_ids"]);
        assert!(
            max_difference(&beside, &want["adapter_logits"]) < TOLERANCE,
            "{name}"
        );
        model.fuse(&adapter).unwrap();
        let merged = logits(&model, None, &want["input_ids"]);
        // A bf16 weight is rounded once more when the update is added to it.
        let tolerance = if name.ends_with("bf16") {
            0.5
        } else {
            TOLERANCE
        };
        assert!(
            max_difference(&merged, &want["adapter_logits"]) < tolerance,
            "{name}"
        );
    }
}

/// The loss with the adapter, and its gradients.
pub fn adapter_gradients_equal_pytorch(device: &Device) {
    for name in &checkpoints() {
        let want = tensors(&golden(name).join("gradients.safetensors"));
        let ids = &tensors(&golden(name).join("golden.safetensors"))["input_ids"];
        let (model, parameters) = ready(name, "adapter", device);
        let batch = batch(ids, &want["labels"]);
        let result = run_step(&model, &parameters, &batch, false);
        let trained = batch.trained_tokens as f64;
        let loss = f64::from(want["loss"].to_scalar::<f32>().unwrap());
        let got = result.loss_sum / trained;
        assert!((got - loss).abs() < 1e-4, "{name}: {got}, expected {loss}");
        assert_eq!(parameters.as_slice().len(), want.len() - 2, "{name}");
        for (parameter, gradient) in parameters
            .as_slice()
            .iter()
            .zip(result.gradients.as_slice())
        {
            let mean = (gradient.as_ref().unwrap() / trained).unwrap();
            let want = &want[&format!("grad.base_model.model.{}", parameter.name)];
            let difference = max_difference(&mean, want);
            assert!(difference < 1e-4, "{name} {}: {difference}", parameter.name);
        }
    }
}

/// Two sequences behind each other in one row compute what each computes alone.
pub fn packed_sequences_compute_what_each_does_alone(device: &Device) {
    for name in &checkpoints() {
        let want = tensors(&golden(name).join("golden.safetensors"));
        let (model, ids) = (model_on(name, device), ids(&want["input_ids"]));
        let (first, second) = (&ids[..40], &ids[40..57]);
        let layout = Layout::new(Arrangement::Packed, &[40, 17]);
        let context = Context::default();
        let both = model
            .decoder
            .forward(&ids[..57], &layout, &context)
            .unwrap();
        for (start, alone) in [(0, first), (40, second)] {
            let packed = both.narrow(1, start, alone.len()).unwrap();
            let difference = max_difference(&packed, &forward(&model, alone, 1));
            assert!(difference < TOLERANCE, "{name} {start}: {difference}");
        }
    }
}

/// Folders as PEFT and its users leave them, see `scripts/golden/adapter_files.py`.
pub fn adapter_files_compute_what_peft_computes(device: &Device) {
    let want = tensors(&golden("adapter-files/golden.safetensors"));
    for (name, expected) in want.iter().filter(|(name, _)| *name != "input_ids") {
        let mut model = model_on("llama3", device);
        let adapter = adapter(&mut model, &golden("adapter-files").join(name));
        let logits = logits(&model, Some(&adapter), &want["input_ids"]);
        let last = |logits: Tensor| logits.narrow(1, logits.dim(1)? - 1, 1)?.squeeze(1);
        let difference = max_difference(&last(logits).unwrap(), expected);
        assert!(difference < TOLERANCE, "{name}: {difference}");
        model.fuse(&adapter).unwrap();
        let fused = last(self::logits(&model, None, &want["input_ids"])).unwrap();
        let difference = max_difference(&fused, expected);
        assert!(difference < TOLERANCE, "{name} fused: {difference}");
    }
}

pub fn greedy_tokens_equal_transformers_with_and_without_cache(device: &Device) {
    for name in &checkpoints() {
        let want = tensors(&golden(name).join("golden.safetensors"));
        let model = model_on(name, device);
        let (prompt, greedy) = (ids(&want["prompt"]), ids(&want["greedy"]));
        assert_eq!(
            greedy_with_cache(&model, &prompt, greedy.len()),
            greedy,
            "{name}"
        );
        assert_eq!(
            greedy_without_cache(&model, &prompt, greedy.len()),
            greedy,
            "{name}"
        );
    }
}

fn argmax(logits: &Tensor) -> u32 {
    logits
        .flatten_all()
        .unwrap()
        .argmax(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

pub fn greedy_with_cache(model: &Model, prompt: &[u32], n: usize) -> Vec<u32> {
    let mut cache = model.decoder.cache(CacheForm::Contiguous);
    let mut all = prompt.to_vec();
    for _ in 0..n {
        model.decoder.expect(&mut cache, all.len()).unwrap();
        let new = &all[cache.len()..];
        let logits = continued(model, &mut cache, new);
        let last = logits.dim(0).unwrap() - 1;
        all.push(argmax(&logits.narrow(0, last, 1).unwrap()));
    }
    all.split_off(prompt.len())
}

/// Logits of tokens that follow those of a cache, `(T, V)`.
pub fn continued(model: &Model, cache: &mut KvCache, new: &[u32]) -> Tensor {
    let span = Span {
        sequence: 0,
        start: cache.len(),
        len: new.len(),
    };
    let (layout, all) = (Layout::ragged(vec![span]), 0..new.len() as u32);
    let (context, caches) = (Context::default(), &mut [cache]);
    let decoder = &model.decoder;
    let logits = decoder.decode(new, &layout, &context, caches, &all.collect::<Vec<_>>());
    logits.unwrap()
}

fn greedy_without_cache(model: &Model, prompt: &[u32], n: usize) -> Vec<u32> {
    let mut all = prompt.to_vec();
    for _ in 0..n {
        let logits = forward(model, &all, 1);
        all.push(argmax(&logits.narrow(1, all.len() - 1, 1).unwrap()));
    }
    all.split_off(prompt.len())
}
