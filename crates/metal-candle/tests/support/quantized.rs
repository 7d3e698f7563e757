//! Quantized checkpoints (`scripts/golden/make_mlx.py`, `scripts/golden/packed_models.py`), on any device.

use super::training::{self, batch};
use super::{golden, ids, max_difference, model_on, tensors};
use candle_core::{Device, Tensor};
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan, Targets};
use metal_candle::models::{CacheForm, Model, PromptCache};
use metal_candle::train::{Parameters, step::step};
use std::collections::HashMap;
use std::sync::Arc;

fn loaded(name: &str, device: &Device) -> (Model, HashMap<String, Tensor>) {
    let want = tensors(&golden(name).join("golden.safetensors"));
    (model_on(name, device), want)
}

/// The model, and the adapter of the file.
pub fn adapted(name: &str, device: &Device) -> (Model, Arc<AdapterSet>, HashMap<String, Tensor>) {
    let (model, want) = loaded(name, device);
    let targets = ["q_proj", "up_proj", "down_proj"].map(String::from);
    let config = LoraConfig {
        r: 4,
        alpha: 8.0,
        targets: Targets::Names(targets.to_vec()),
        ..LoraConfig::default()
    };
    let plan = Plan::new(&config, &model.decoder.layer_infos().unwrap()).unwrap();
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap();
    for (name, var) in set.parameters() {
        var.set(&want[&name].to_device(device).unwrap()).unwrap();
    }
    (model, Arc::new(set), want)
}

pub fn logits_and_greedy_tokens_equal_the_owners(name: &str, device: &Device) {
    let (model, want) = loaded(name, device);
    let logits = super::models::forward(&model, &ids(&want["input_ids"]), 2);
    let difference = max_difference(&logits, &want["logits"]);
    assert!(difference < 1e-4, "{name}: {difference}");
    let (prompt, greedy) = (ids(&want["prompt"]), ids(&want["greedy"]));
    let ours = super::models::greedy_with_cache(&model, &prompt, greedy.len());
    assert_eq!(ours, greedy, "{name}");
}

/// Logits behind a bounded cache, of tokens that come in chunks of 9 and 3, and then one by one.
pub fn logits_of_a_bounded_cache_equal_mlx(name: &str, device: &Device) {
    let (model, want) = loaded(name, device);
    let row = ids(&want["input_ids"].narrow(0, 0, 1).unwrap());
    for bound in [5, 8, 16] {
        let mut cache = model.decoder.cache(CacheForm::Bounded(bound));
        let mut start = 0;
        let ends = [9].into_iter().chain(12..=row.len());
        let logits = ends.map(|end| {
            let chunk = &row[std::mem::replace(&mut start, end)..end];
            super::models::continued(&model, &mut cache, chunk)
        });
        let logits = Tensor::cat(&logits.collect::<Vec<_>>(), 0).unwrap();
        let difference = max_difference(&logits, &want[&format!("bounded.{bound}")]);
        assert!(difference < 1e-4, "{name}, {bound}: {difference}");
    }
}

/// Tokens of the first row whose keys and values are in the files of mlx-lm.
const N_KEPT: usize = 13;

/// Logits behind keys and values that mlx-lm wrote, and behind those that are written again.
pub fn logits_behind_a_file_of_keys_equal_mlx(device: &Device) {
    let (model, want) = loaded("mlx-4bit", device);
    let row = ids(&want["input_ids"].narrow(0, 0, 1).unwrap());
    let of_rest = |logits: &Tensor| {
        let rows = logits.dim(0).unwrap();
        logits
            .narrow(0, rows - (row.len() - N_KEPT), row.len() - N_KEPT)
            .unwrap()
    };
    let whole = want["logits"].get(0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, want) in [
        ("whole", &whole),
        ("bounded", &want["bounded.8"]),
        ("quantized", &want["quantized"]),
    ] {
        let theirs = golden("mlx-4bit").join(format!("caches/{name}.safetensors"));
        let ours = folder.path().join(name);
        for path in [&theirs, &ours] {
            let file = PromptCache::read(path).unwrap();
            assert_eq!((file.n_tokens(), &*file.info.model), (N_KEPT, "mlx-4bit"));
            let mut cache = model.decoder.read_cache(&file).unwrap();
            model
                .decoder
                .write_cache(&ours, &cache, &file.info)
                .unwrap();
            let one_by_one = row[N_KEPT..].chunks(1);
            let logits = one_by_one.map(|id| super::models::continued(&model, &mut cache, id));
            let logits = Tensor::cat(&logits.collect::<Vec<_>>(), 0).unwrap();
            let difference = max_difference(&logits, &of_rest(want));
            assert!(difference < 1e-4, "{}: {difference}", path.display());
        }
    }
}

pub fn loss_and_gradients_of_an_adapter_equal_mlx(name: &str, device: &Device) {
    let (model, set, want) = adapted(name, device);
    let parameters = Parameters::of_adapters(set, &model.decoder);
    let batch = batch(&want["input_ids"], &want["targets"]);
    let mode = Mode::training(0);
    let result = step(&model.decoder, &parameters, &batch, mode, false).unwrap();
    let trained = batch.trained_tokens as f64;
    let loss = f64::from(want["loss"].to_scalar::<f32>().unwrap());
    assert!((result.loss_sum / trained - loss).abs() < 1e-5, "{name}");
    let gradients = result.gradients.as_slice();
    for (parameter, gradient) in parameters.as_slice().iter().zip(gradients) {
        let mean = (gradient.as_ref().unwrap() / trained).unwrap();
        let difference = max_difference(&mean, &want[&format!("grad.{}", parameter.name)]);
        assert!(difference < 2e-6, "{name} {}: {difference}", parameter.name);
    }
}

/// Losses of ten steps of mlx-lm's trainer.
pub fn ten_losses_equal_mlx(name: &str, device: &Device) {
    let (model, set, want) = adapted(name, device);
    let parameters = Parameters::of_adapters(set, &model.decoder);
    let losses = want["losses"].to_vec1::<f32>().unwrap();
    let got = training::losses(&model, &parameters, &want["steps"], &want["steps"]);
    assert_eq!((losses.len(), got.len()), (10, 10));
    for (got, want) in got.into_iter().zip(losses) {
        assert!((got - f64::from(want)).abs() < 1e-3, "{name}: {got} {want}");
    }
}
