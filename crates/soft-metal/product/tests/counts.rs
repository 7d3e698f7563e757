//! Counts of what a token and a step of training of a small bfloat16 model ask of Metal: they may fall, and never rise unseen.

use candle_core::{DType, Device};
use metal_candle::data::Batch;
use metal_candle::generate::{Engine, Request};
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan};
use metal_candle::models::Model;
use metal_candle::train::{Optimizer, Parameters, Rule, step::step};
use serde_json::json;
use soft_metal::{Counts, Guard, drain, take_counts};
use std::sync::Arc;

/// Two blocks, whose matrices of weights are large beside their activations.
fn model(device: &Device) -> Model {
    let config = json!({
        "model_type": "qwen2", "hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "max_position_embeddings": 512, "tie_word_embeddings": true,
    });
    let mut model = Model::random(config, 0, device).unwrap();
    for (_, part) in model.decoder.parts_mut() {
        part.replace(&mut |_, weight| weight.to_dtype(DType::BF16)).unwrap();
    }
    model
}

/// Bytes of all matrices; the embedding is the head, too.
fn weight_bytes(model: &Model) -> usize {
    let tensors = model.decoder.named_weights();
    tensors.iter().map(|(_, t)| t.elem_count() * t.dtype().size_in_bytes()).sum()
}

/// Counts of `f` on a device, with nothing left of it.
fn on_metal(f: impl FnOnce(&Device) -> Counts) -> Counts {
    let _guard = Guard::new();
    let counts = f(&Device::new_metal(0).unwrap());
    metal_candle_kernels::release();
    counts
}

/// The last of `n` runs, those before have compiled and allocated.
fn counts_of_last(n: usize, mut run: impl FnMut()) -> Counts {
    for _ in 0..n {
        drain();
        take_counts();
        run();
    }
    drain();
    take_counts()
}

/// Launches of all kernels; of products, and their bytes; waits; new buffers.
#[derive(Debug, PartialEq, PartialOrd)]
struct Asked {
    launches: usize,
    products: usize,
    product_bytes: usize,
    casts: usize,
    waits: usize,
    buffers: usize,
}

impl Asked {
    fn of(counts: &Counts) -> Self {
        println!("{counts:#?}");
        let products = counts.of(|name| name.starts_with("gem") || name.starts_with("product"));
        Self {
            launches: counts.all().dispatches,
            products: products.dispatches,
            product_bytes: products.bytes,
            casts: counts.of(|name| name.starts_with("cast")).dispatches,
            waits: counts.waits,
            buffers: counts.buffers,
        }
    }

    /// Whether no figure is over that of `most`.
    fn is_within(&self, most: &Self) -> bool {
        let figures = |a: &Self| [a.launches, a.products, a.product_bytes, a.casts, a.waits, a.buffers];
        figures(self).iter().zip(figures(most)).all(|(&figure, most)| figure <= most)
    }
}

#[test]
fn a_token_asks_for_no_more_than_it_did() {
    let mut weights = 0;
    let counts = on_metal(|device| {
        let model = model(device);
        weights = weight_bytes(&model);
        let mut engine = Engine::new(&model.decoder);
        engine.insert(Request { prompt: vec![1, 2, 3], max_tokens: 9, ..Request::default() }).unwrap();
        counts_of_last(4, || assert_eq!(engine.step().unwrap().len(), 1))
    });
    let asked = Asked::of(&counts);
    // Each weight is read once, as it is stored.
    let product_bytes = weights + weights * 15 / 100;
    let most = Asked { launches: 38, products: 15, product_bytes, casts: 0, waits: 1, buffers: 18 };
    assert!(asked.is_within(&most), "{asked:?}, at most {most:?}");
}

#[test]
fn a_step_of_training_asks_for_no_more_than_it_did() {
    let counts = on_metal(|device| {
        let model = model(device);
        let plan = Plan::new(&LoraConfig::default(), &model.decoder.layer_infos().unwrap()).unwrap();
        let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap();
        let parameters = Parameters::of_adapters(Arc::new(set), &model.decoder);
        let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
        let batch = batch();
        counts_of_last(3, || {
            let result = step(&model.decoder, &parameters, &batch, Mode::training(0), false).unwrap();
            optimizer.step(&parameters, &result.gradients, 1e-4, 1.0 / 48.0).unwrap();
        })
    });
    let asked = Asked::of(&counts);
    let most = Asked { launches: 189, products: 108, product_bytes: 15_726_304, casts: 0, waits: 2, buffers: 49 };
    assert!(asked.is_within(&most), "{asked:?}, at most {most:?}");
}

fn batch() -> Batch {
    Batch {
        layout: Layout::new(Arrangement::Padded, &[24, 24]),
        inputs: (0..48).collect(),
        targets: (1..49).collect(),
        trained_tokens: 48,
        lines: vec![1, 2],
        pairs: vec![],
    }
}
