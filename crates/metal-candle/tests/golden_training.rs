//! Losses, gradients and final adapters equal those of PyTorch with PEFT.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::Device;
use metal_candle::data::Batch;
use metal_candle::lora::format::peft;
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan, Targets};
use metal_candle::models::{Model, save_checkpoint};
use metal_candle::train::step::step;
use metal_candle::train::{Gradients, Parameters};
use support::activations;
use support::decay;
use support::models::forward_with;
use support::training::{self, batch, frobenius, run_step};
use support::{adapted, adapter, golden, max_difference, model, tensors};

/// See `scripts/golden/training.py`.
const RUNS: [&str; 11] = [
    "qwen2/train",
    "qwen3/train",
    "qwen2/train-dora",
    "qwen2/train-ends",
    "qwen3/train-saved",
    "gemma2/train-dora-ends",
    "qwen3/train-pissa",
    "qwen3/train-olora",
    "qwen3/train-loha",
    "qwen3_moe/train",
    "gpt_oss/train",
];

#[test]
fn ten_losses_of_sixteen_bits_are_near_those_of_float32() {
    for run in RUNS {
        activations::ten_losses_are_near_those_of_float32(run, &Device::Cpu);
    }
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    for run in RUNS {
        training::ten_losses_and_the_final_adapter_equal_peft(run, "full", &Device::Cpu);
    }
}

#[test]
fn ten_masked_losses_and_the_final_adapter_equal_peft() {
    for run in RUNS {
        training::ten_losses_and_the_final_adapter_equal_peft(run, "masked", &Device::Cpu);
    }
}

#[test]
fn losses_with_noise_equal_transformers() {
    for run in ["qwen2/train", "gemma2/train-dora-ends"] {
        training::noisy_losses_equal_transformers(run, &Device::Cpu);
    }
}

#[test]
fn accumulated_gradients_equal_pytorch_for_every_split() {
    let runs = RUNS.iter().filter(|run| {
        let adapter = golden(run).join("accumulation_adapter");
        adapter.exists()
    });
    for run in runs {
        training::accumulated_gradients_equal_pytorch_for_every_split(run, &Device::Cpu);
    }
}

#[test]
fn packed_rows_train_as_padded_ones() {
    training::packed_rows_train_as_padded_ones(&Device::Cpu);
}

#[test]
fn recomputed_blocks_give_the_same_gradients_to_the_bit() {
    let folder = golden("qwen3").join("train");
    let batches = tensors(&folder.join("batches.safetensors"));
    let model = model("qwen3");
    let initial = folder.join("initial_adapter");
    let set = adapted(&model, &initial, |config| config.dropout = 0.3).set;
    let parameters = Parameters::of_adapters(set, &model.decoder);
    for parameter in parameters.as_slice() {
        if parameter.name.ends_with("lora_B.weight") {
            let b = parameter.var.affine(1.0, 0.1).unwrap().detach();
            parameter.var.set(&b).unwrap();
        }
    }
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
    let model = model("llama3");
    let adapter = adapted(&model, &folder, |_| {});
    let out = tempfile::tempdir().unwrap();
    adapter.save(out.path(), "base").unwrap();
    let read = adapted(&model, out.path(), |_| {});
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

/// A head that is the embedding is its own weight once either was changed.
#[test]
fn adapters_of_tied_ends_are_fused_apart() {
    let run = "qwen2/train-ends";
    let mut model = model("qwen2");
    let set = adapter(&mut model, &golden(run).join("accumulation_adapter"));
    let ids = [1, 2, 3, 40, 95];
    let beside = forward_with(&model, Some(&set), &ids, 1);
    model.fuse(&set).unwrap();
    let fused = tempfile::tempdir().unwrap();
    let weights = model.decoder.tensors();
    save_checkpoint(fused.path(), &model.raw_config, weights).unwrap();
    let model = Model::load(fused.path(), &Device::Cpu).unwrap();
    assert!(
        model
            .decoder
            .tensors()
            .iter()
            .any(|(name, _)| name == "lm_head.weight")
    );
    let logits = forward_with(&model, None, &ids, 1);
    assert!(max_difference(&logits, &beside) < 1e-4);
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
        let model = model("qwen2");
        let plan = Plan::new(&config, &model.decoder.layer_infos().unwrap()).unwrap();
        let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap();
        let parameters = set.parameters();
        let folder = tempfile::tempdir().unwrap();
        peft::write(folder.path(), &config, "base", &parameters).unwrap();
        let read = adapted(&model, folder.path(), |_| {});
        let Targets::Names(names) = &read.config.targets else {
            panic!("{}", read.config.targets);
        };
        assert_eq!(names.len(), n_targets);
        assert_eq!(read.plan, plan);
    }
}

#[test]
fn biases_and_norms_do_not_decay_as_in_transformers() {
    decay::biases_and_norms_do_not_decay_as_in_transformers();
    decay::adapters_decay_as_in_transformers();
}

#[test]
fn three_steps_of_all_weights_equal_transformers_groups() {
    decay::three_steps_of_all_weights_equal_transformers_groups(&Device::Cpu);
}

/// The share of the learning rate that PEFT gives each tensor (`scripts/golden/loraplus.py`).
#[test]
fn rates_of_lora_plus_are_those_of_peft() {
    type Rates = std::collections::BTreeMap<String, f64>;
    let text = std::fs::read_to_string(golden("loraplus/rates.json")).unwrap();
    let all: std::collections::BTreeMap<String, Rates> = serde_json::from_str(&text).unwrap();
    assert!(all.contains_key("gemma2/train-dora-ends"));
    for (run, rates) in all {
        let (_, parameters) = training::ready(&run, "initial_adapter", &Device::Cpu);
        let parameters = parameters.lora_plus(16.0);
        let named = parameters.as_slice().iter();
        let named = named.map(|p| (format!("base_model.model.{}", p.name), p.rate));
        assert_eq!(named.collect::<Rates>(), rates, "{run}");
    }
}

#[test]
fn three_steps_of_lora_plus_equal_peft() {
    training::three_steps_of_lora_plus_equal_peft(&Device::Cpu);
}

#[test]
fn all_weights_of_every_kind_train() {
    let batches = tensors(&golden("qwen2").join("train/batches.safetensors"));
    for name in [
        "qwen2",
        "qwen3",
        "granite",
        "phi4-mini",
        "olmo3",
        "glm4",
        "gemma2",
        "gemma3",
    ] {
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
        let start = metal_candle::device::snapshot(&parameter.var).unwrap();
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
            "{} {}: {slope} {norm}",
            model.config.model_type,
            parameter.name
        );
    }
}
