//! Counts of what a token and a step of training of small bfloat16 models ask of Metal: they may fall, and never rise unseen.
//!
//! `cargo xtask soft-metal cargo -- test --manifest-path crates/soft-metal/Cargo.toml --test counts -- --nocapture --test-threads=1`
//! prints those of models of real widths, too: the table of docs/apple.md.

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
struct Shape {
    family: &'static str,
    hidden: usize,
    inner: usize,
    heads: usize,
    kv_heads: usize,
    blocks: usize,
    vocabulary: usize,
}

/// Matrices of weights that are large beside their activations.
const QWEN2: Shape =
    Shape { family: "qwen2", hidden: 128, inner: 384, heads: 4, kv_heads: 2, blocks: 2, vocabulary: 512 };
const LLAMA: Shape = Shape { family: "llama", ..QWEN2 };

const QWEN2_5_500M: Shape =
    Shape { family: "qwen2", hidden: 896, inner: 4864, heads: 14, kv_heads: 2, blocks: 24, vocabulary: 151_936 };
const LLAMA_3_2_1B: Shape =
    Shape { family: "llama", hidden: 2048, inner: 8192, heads: 32, kv_heads: 8, blocks: 16, vocabulary: 128_256 };

impl Shape {
    fn narrower(self, scale: usize) -> Self {
        let [hidden, inner, heads, kv_heads] =
            [self.hidden, self.inner, self.heads, self.kv_heads].map(|size| size / scale);
        Self { hidden, inner, heads, kv_heads, ..self }
    }

    /// Bytes of all weights in bfloat16; the embedding is the head, too.
    fn weight_bytes(self) -> usize {
        let head = self.hidden / self.heads;
        let kv = 2 * self.kv_heads * head;
        let biases = if self.family == "qwen2" { self.hidden + kv } else { 0 };
        let block = self.hidden * (2 * self.hidden + kv + 3 * self.inner + 2) + biases;
        2 * (self.blocks * block + self.hidden * (self.vocabulary + 1))
    }
}

fn model(device: &Device, shape: Shape) -> Model {
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
fn weight_bytes(model: &Model) -> usize {
    let tensors = model.decoder.named_weights();
    tensors
        .iter()
        .filter(|(name, _)| name != "lm_head.weight")
        .map(|(_, t)| t.elem_count() * t.dtype().size_in_bytes())
        .sum()
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

/// Launches of all kernels; of products, and their bytes; blits; waits; new buffers.
#[derive(Debug, PartialEq, PartialOrd)]
struct Asked {
    launches: usize,
    products: usize,
    product_bytes: usize,
    casts: usize,
    blits: usize,
    waits: usize,
    buffers: usize,
}

/// Beginnings of the names of kernels that read weights.
const PRODUCTS: [&str; 4] = ["gem", "product", "swiglu_of", "geglu_of"];

impl Asked {
    fn of(counts: &Counts) -> Self {
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
    fn is_within(&self, most: &Self) -> bool {
        let figures = |a: &Self| [a.launches, a.products, a.product_bytes, a.casts, a.blits, a.waits, a.buffers];
        figures(self).iter().zip(figures(most)).all(|(&figure, most)| figure <= most)
    }
}

/// A fresh LoRA adapter of rank 8 on all layers.
fn adapter(model: &Model) -> Arc<AdapterSet> {
    let plan = Plan::new(&LoraConfig::default(), &model.decoder.layer_infos().unwrap()).unwrap();
    Arc::new(AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap())
}

/// Counts of a token that is the most likely one, with an adapter or without, and bytes of the weights.
fn counts_of_a_token(shape: Shape, is_adapted: bool) -> (Counts, usize) {
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

fn counts_of_a_step(shape: Shape) -> Counts {
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

#[test]
fn a_token_asks_for_no_more_than_it_did() {
    for shape in [QWEN2, LLAMA] {
        let (counts, weights) = counts_of_a_token(shape, false);
        let asked = Asked::of(&counts);
        // Each weight is read once, as it is stored. Eight launches a block; gather, norm, head and choice.
        let product_bytes = weights + weights * 15 / 100;
        let most = Asked {
            launches: 8 * shape.blocks + 4,
            products: 9,
            product_bytes,
            casts: 0,
            blits: 0,
            waits: 1,
            buffers: 0,
        };
        assert!(asked.is_within(&most), "{}: {asked:?}, at most {most:?}", shape.family);
    }
}

#[test]
fn an_adapter_costs_four_launches_a_block() {
    for shape in [QWEN2, LLAMA] {
        let [with, without] = [true, false].map(|is_adapted| counts_of_a_token(shape, is_adapted).0);
        let more = with.all().dispatches - without.all().dispatches;
        assert_eq!(more, 4 * shape.blocks, "{with:#?}");
        assert_eq!((with.waits, with.buffers, with.blits), (1, 0, 0), "{with:#?}");
    }
}

#[test]
fn a_step_of_training_asks_for_no_more_than_it_did() {
    for shape in [QWEN2, LLAMA] {
        let asked = Asked::of(&counts_of_a_step(shape));
        let product_bytes = 10_295_008;
        // A block has 28 launches forward and 48 backward, the first ten fewer; embedding, norm, head and loss are ten. Of the 14
        // trained tensors of a block seven share a launch of AdamW, and sixteen one of their squares, the loss among them.
        let (blocks, trained) = (shape.blocks, 14 * shape.blocks);
        let launches = (28 + 48) * blocks + trained.div_ceil(7) + (trained + 1).div_ceil(16);
        let most = Asked { launches, products: 108, product_bytes, casts: 0, blits: 0, waits: 1, buffers: 0 };
        assert!(asked.is_within(&most), "{}: {asked:?}, at most {most:?}", shape.family);
    }
}

#[test]
fn every_library_of_ours_is_in_msl_3_1() {
    let counts = on_metal(|device| {
        let x = Tensor::new(&[[1f32, 2., 3.]], device).unwrap();
        take_counts();
        metal_candle_kernels::softmax(&x).unwrap();
        take_counts()
    });
    // candle leaves the version of its own to the system.
    assert_eq!(counts.languages.get(&Some((3, 1))), Some(&1), "{:?}", counts.languages);
}

/// Launches and bytes of a token of whole models, which the table of docs/apple.md has.
///
/// Weights are known, and all other bytes are counted at widths `scale` times smaller, to which they are proportional: with one
/// and two blocks and two vocabularies, since they are sums over blocks and over tokens of the vocabulary.
#[test]
fn what_a_token_of_real_models_asks_for() {
    let figures = [(QWEN2_5_500M, 2), (LLAMA_3_2_1B, 4)].map(|(shape, scale)| {
        let of = |blocks, vocabulary| {
            let small = Shape { blocks, vocabulary, ..shape.narrower(scale) };
            let (counts, weights) = counts_of_a_token(small, false);
            assert_eq!(weights, small.weight_bytes());
            // Of the embedding one row is read.
            let bytes = counts.of(|name| name != "gather").bytes;
            [counts.all().dispatches, bytes - weights]
        };
        let [one, two, wide] = [of(1, 512), of(2, 512), of(1, 1024)];
        let [launches, per_block] = [two[0] - one[0], two[1] - one[1]];
        let per_token = (wide[1] - one[1]) / 512;
        let rest = one[1] - per_block - 512 * per_token;
        let others = scale * (shape.blocks * per_block + rest) + shape.vocabulary * per_token;
        let bytes = shape.weight_bytes() + others;
        assert!(bytes * 100 <= shape.weight_bytes() * 115, "{bytes} bytes");
        let launches = one[0] + launches * (shape.blocks - 1);
        println!("{} of {} blocks: {launches} launches, {bytes} bytes", shape.family, shape.blocks);
        launches
    });
    assert_eq!(figures, [196, 132]);
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
