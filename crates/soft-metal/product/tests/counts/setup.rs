//! Models whose tokens and steps are counted.

use candle_core::{DType, Device, Tensor};
use metal_candle::data::Batch;
use metal_candle::generate::{Engine, Request};
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{AdapterSet, LoraConfig, Mode, Plan};
use metal_candle::models::Model;
use metal_candle::train::{Optimizer, Parameters, Rule, step::step};
use serde_json::json;
use soft_metal::{Counts, Guard, drain, take_counts};
use std::sync::Arc;

/// A model's sizes. Its head is the embedding.
#[derive(Clone, Copy)]
pub struct Shape {
    pub family: &'static str,
    pub hidden: usize,
    pub inner: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub blocks: usize,
    pub vocabulary: usize,
}

/// Matrices of weights that are large beside their activations.
pub const QWEN2: Shape =
    Shape { family: "qwen2", hidden: 128, inner: 384, heads: 4, kv_heads: 2, blocks: 2, vocabulary: 512 };
pub const LLAMA: Shape = Shape { family: "llama", ..QWEN2 };

pub const QWEN2_5_500M: Shape =
    Shape { family: "qwen2", hidden: 896, inner: 4864, heads: 14, kv_heads: 2, blocks: 24, vocabulary: 151_936 };
pub const LLAMA_3_2_1B: Shape =
    Shape { family: "llama", hidden: 2048, inner: 8192, heads: 32, kv_heads: 8, blocks: 16, vocabulary: 128_256 };

impl Shape {
    pub fn narrower(self, scale: usize) -> Self {
        let [hidden, inner, heads, kv_heads] =
            [self.hidden, self.inner, self.heads, self.kv_heads].map(|size| size / scale);
        Self { hidden, inner, heads, kv_heads, ..self }
    }

    /// Bytes of all weights in bfloat16; the embedding is the head, too.
    pub fn weight_bytes(self) -> usize {
        let head = self.hidden / self.heads;
        let kv = 2 * self.kv_heads * head;
        let biases = if self.family == "qwen2" { self.hidden + kv } else { 0 };
        let block = self.hidden * (2 * self.hidden + kv + 3 * self.inner + 2) + biases;
        2 * (self.blocks * block + self.hidden * (self.vocabulary + 1))
    }
}

pub fn model(device: &Device, shape: Shape) -> Model {
    let config = json!({
        "model_type": shape.family, "hidden_size": shape.hidden, "intermediate_size": shape.inner,
        "num_hidden_layers": shape.blocks, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
        "vocab_size": shape.vocabulary, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "max_position_embeddings": 512,
        "tie_word_embeddings": true,
    });
    let mut model = Model::random(config, 0, device).unwrap();
    for (_, part) in model.decoder.parts_mut() {
        // As a file gives them: candle's casts on a GPU leave buffers that are longer.
        let in_bf16 = &mut |_: &str, weight: &Tensor| {
            let weight = weight.to_device(&Device::Cpu)?.to_dtype(DType::BF16)?;
            weight.to_device(device)
        };
        part.replace(in_bf16).unwrap();
    }
    model
}

/// Bytes of all weights; the embedding is the head, too.
pub fn weight_bytes(model: &Model) -> usize {
    let tensors = model.decoder.named_weights();
    tensors
        .iter()
        .filter(|(name, _)| name != "lm_head.weight")
        .map(|(_, t)| t.elem_count() * t.dtype().size_in_bytes())
        .sum()
}

/// Counts of `f` on a device, with nothing left of it.
pub fn on_metal(f: impl FnOnce(&Device) -> Counts) -> Counts {
    let _guard = Guard::new();
    let counts = f(&Device::new_metal(0).unwrap());
    metal_candle_kernels::release();
    counts
}

/// The last of `n` runs, those before have compiled and allocated.
pub fn counts_of_last(n: usize, mut run: impl FnMut()) -> Counts {
    for _ in 0..n {
        drain();
        take_counts();
        run();
    }
    drain();
    take_counts()
}

/// Launches of all kernels; of products, and their bytes; blits; waits; new buffers.
#[derive(Debug, PartialEq, PartialOrd)]
pub struct Asked {
    pub launches: usize,
    pub products: usize,
    pub product_bytes: usize,
    pub casts: usize,
    pub blits: usize,
    pub waits: usize,
    pub buffers: usize,
}

/// Beginnings of the names of kernels that read weights.
const PRODUCTS: [&str; 4] = ["gem", "product", "swiglu_of", "geglu_of"];

impl Asked {
    pub fn of(counts: &Counts) -> Self {
        println!("{counts:#?}");
        let products = counts.of(|name| PRODUCTS.iter().any(|product| name.starts_with(product)));
        Self {
            launches: counts.all().dispatches,
            products: products.dispatches,
            product_bytes: products.bytes,
            casts: counts.of(|name| name.starts_with("cast")).dispatches,
            blits: counts.blits,
            waits: counts.waits,
            buffers: counts.buffers,
        }
    }

    /// Whether no figure is over that of `most`.
    pub fn is_within(&self, most: &Self) -> bool {
        let figures = |a: &Self| [a.launches, a.products, a.product_bytes, a.casts, a.blits, a.waits, a.buffers];
        figures(self).iter().zip(figures(most)).all(|(&figure, most)| figure <= most)
    }
}

/// A fresh LoRA adapter of rank 8 on all layers.
pub fn adapter(model: &Model) -> Arc<AdapterSet> {
    let plan = Plan::new(&LoraConfig::default(), &model.decoder.layer_infos().unwrap()).unwrap();
    Arc::new(AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap())
}

/// Counts of a token that is the most likely one, with an adapter or without, and bytes of the weights.
pub fn counts_of_a_token(shape: Shape, is_adapted: bool) -> (Counts, usize) {
    let mut weights = 0;
    let counts = on_metal(|device| {
        let model = model(device, shape);
        weights = weight_bytes(&model);
        let mut engine = Engine::new(&model.decoder);
        let adapter = is_adapted.then(|| adapter(&model));
        let request = Request { prompt: vec![1, 2, 3], max_tokens: 19, adapter, ..Request::default() };
        engine.insert(request).unwrap();
        counts_of_last(6, || assert_eq!(engine.step().unwrap().len(), 1))
    });
    (counts, weights)
}

pub fn counts_of_a_step(shape: Shape) -> Counts {
    on_metal(|device| {
        let model = model(device, shape);
        let parameters = Parameters::of_adapters(adapter(&model), &model.decoder);
        let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
        let batch = batch();
        counts_of_last(6, || {
            let result = step(&model.decoder, &parameters, &batch, Mode::training(0), false).unwrap();
            optimizer.step(&parameters, &result.gradients, 1e-4, 1.0 / 48.0).unwrap();
        })
    })
}

pub fn batch() -> Batch {
    Batch {
        layout: Layout::new(Arrangement::Padded, &[24, 24]),
        inputs: (0..48).collect(),
        targets: (1..49).collect(),
        trained_tokens: 48,
        lines: vec![1, 2],
        pairs: vec![],
    }
}
