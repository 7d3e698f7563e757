//! Counts of what a token and a step of training of small bfloat16 models ask of Metal: they may fall, and never rise unseen.
//!
//! `cargo xtask soft-metal cargo -- test --manifest-path crates/soft-metal/Cargo.toml --test counts -- --nocapture --test-threads=1`
//! prints those of models of real widths, too: the table of docs/apple.md.

mod allocations;
mod host;
mod setup;
mod variants;

use candle_core::Tensor;
use host::{Cost, of_steps, of_tokens};
use setup::*;
use soft_metal::take_counts;

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
        // trained tensors of a block seven share a launch of AdamW, and 29 one of their squares, the loss among them.
        let (blocks, trained) = (shape.blocks, 14 * shape.blocks);
        let launches = (28 + 48) * blocks + trained.div_ceil(7) + (trained + 1).div_ceil(29);
        let most = Asked { launches, products: 108, product_bytes, casts: 0, blits: 0, waits: 1, buffers: 0 };
        assert!(asked.is_within(&most), "{}: {asked:?}, at most {most:?}", shape.family);
    }
}

/// Allocations of the thread that encodes, those of candle, of software Metal's command buffers, and of objc2's checks of messages
/// in builds like this one among them.
#[test]
fn a_launch_allocates_no_more_than_it_did() {
    let cost = |costs: Vec<Cost>| {
        let cost = costs[4];
        println!("{cost:?}: {:.2} and {:.2} us a launch", cost.allocations_a_launch(), cost.micros_a_launch());
        cost
    };
    for shape in [QWEN2, LLAMA] {
        let asked = [of_tokens(shape, 9, false), of_tokens(shape, 9, true), of_steps(shape, 9)].map(cost);
        for (cost, most) in asked.into_iter().zip([44.0, 42.0, 50.0]) {
            assert!(cost.allocations_a_launch() <= most, "{}: {cost:?}, at most {most} a launch", shape.family);
        }
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
