//! What other tokens and steps ask for: of weights in another storage, with sampling, beyond the cache, in parts.

use crate::setup::*;
use candle_core::{DType, Device};
use metal_candle::generate::{Engine, Request, Sampling};
use metal_candle::lora::Mode;
use metal_candle::models::Model;
use metal_candle::train::{Optimizer, Parameters, Rule, step::step};
use metal_candle_kernels::weight::affine::Affine;
use soft_metal::Counts;

fn in_f16(device: &Device) -> Model {
    let mut model = model(device, QWEN2);
    for (_, part) in model.decoder.parts_mut() {
        part.replace(&mut |_, weight| weight.to_device(&Device::Cpu)?.to_dtype(DType::F16)?.to_device(device)).unwrap();
    }
    model
}

/// Matrices in 4 bits, groups of 64.
fn packed(device: &Device) -> Model {
    let mut model = model(device, QWEN2);
    for (_, matrix) in model.decoder.matrices_mut() {
        *matrix = Affine::quantize(&matrix.dense().unwrap(), 4, 64).unwrap().into();
    }
    model
}

fn qwen2(device: &Device) -> Model {
    model(device, QWEN2)
}

/// Counts of the last of `n` tokens behind a prompt.
fn counts_of_token([prompt, n]: [usize; 2], model: impl Fn(&Device) -> Model, sampling: Sampling) -> Counts {
    on_metal(|device| {
        let model = model(device);
        let mut engine = Engine::new(&model.decoder);
        let prompt = (1..=prompt as u32).collect();
        engine.insert(Request { prompt, max_tokens: n + 9, sampling, ..Request::default() }).unwrap();
        counts_of_last(n, || assert_eq!(engine.step().unwrap().len(), 1))
    })
}

fn greedy(sizes: [usize; 2], model: impl Fn(&Device) -> Model) -> Counts {
    counts_of_token(sizes, model, Sampling::default())
}

/// Counts of the last of four steps, whose gradients are sums over `parts` micro-batches.
fn counts_of_parts(parts: usize, model: impl Fn(&Device) -> Model) -> Counts {
    on_metal(|device| {
        let model = model(device);
        let parameters = Parameters::of_adapters(adapter(&model), &model.decoder);
        let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
        let batch = batch();
        counts_of_last(4, || {
            let part = || step(&model.decoder, &parameters, &batch, Mode::training(0), false).unwrap().gradients;
            let mut sum = part();
            (1..parts).for_each(|_| sum.add(part()).unwrap());
            optimizer.step(&parameters, &sum, 1e-4, 1.0 / 48.0).unwrap();
        })
    })
}

/// Launches, blits, waits and new buffers.
fn asked(counts: &Counts) -> [usize; 4] {
    [counts.all().dispatches, counts.blits, counts.waits, counts.buffers]
}

fn assert_at_most(counts: &Counts, most: [usize; 4]) {
    let asked = asked(counts);
    assert!(asked.iter().zip(most).all(|(&asked, most)| asked <= most), "{asked:?}, at most {most:?}: {counts:#?}");
}

/// What a token asks for whose weights are in bfloat16: eight launches a block; gather, norm, head and choice.
const TOKEN: [usize; 4] = [8 * QWEN2.blocks + 4, 0, 1, 0];

#[test]
fn a_token_asks_for_as_much_in_16_and_in_4_bits() {
    let products = |counts: &Counts| counts.of(|name| name.contains("product") || name.contains("swiglu_of")).bytes;
    let [f16, packed] = [greedy([3, 6], in_f16), greedy([3, 6], packed)];
    assert_at_most(&f16, TOKEN);
    assert_at_most(&packed, TOKEN);
    // 4 bits, and 32 for each 64 of them; what is read and written in float32 does not shrink.
    assert!(3 * products(&packed) < products(&f16), "{f16:#?} {packed:#?}");
}

/// Its logits are read back, which is a copy, and chosen from by the host.
#[test]
fn a_sampled_token_has_a_copy_in_place_of_the_choice() {
    let sampling = Sampling { temperature: 0.8, ..Sampling::default() };
    let [launches, _, waits, buffers] = TOKEN;
    assert_at_most(&counts_of_token([3, 6], qwen2, sampling), [launches - 1, 1, waits, buffers]);
}

/// A cache has room for 256 tokens at first, and for twice as many when these are there.
#[test]
fn a_cache_that_grows_is_copied_once() {
    let [launches, _, waits, _] = TOKEN;
    // Keys and values of each block: a launch that makes them contiguous, and a blit.
    let copies = 2 * QWEN2.blocks;
    assert_at_most(&greedy([253, 4], qwen2), TOKEN);
    assert_at_most(&greedy([253, 5], qwen2), [launches + copies, copies, waits, copies]);
    assert_at_most(&greedy([253, 6], qwen2), TOKEN);
}

/// Of the 14 trained tensors of a block seven share a launch of AdamW, and 29 one of a micro-batch's squares.
#[test]
fn gradients_of_micro_batches_are_summed_by_a_launch_a_tensor() {
    let trained = 14 * QWEN2.blocks;
    let updates = trained.div_ceil(7);
    let part = (28 + 48) * QWEN2.blocks + (trained + 1).div_ceil(29);
    for parts in [1, 3] {
        let launches = parts * part + (parts - 1) * trained + updates;
        assert_at_most(&counts_of_parts(parts, qwen2), [launches, 0, parts, 0]);
    }
    for model in [in_f16, packed] {
        assert_at_most(&counts_of_parts(1, model), [part + updates, 0, 1, 0]);
    }
}
