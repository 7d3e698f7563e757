//! On an Apple GPU: tiles as in FlashAttention-2 (Dao 2023, <https://arxiv.org/abs/2307.08691>).

mod backward;
mod forward;
mod inputs;

pub(super) use backward::backward;
pub(super) use forward::{Saved, forward};

use crate::metal::{SIMD, Source};

const SOURCE: Source = Source {
    name: "attention",
    text: concat!(
        include_str!("../../softcap/softcap.metal"),
        include_str!("tiles.metal"),
        include_str!("forward.metal"),
        include_str!("decode.metal"),
        include_str!("backward.metal"),
    ),
};

/// Rows of a threadgroup, and tokens that they meet at a time, as in `tiles.metal`.
const TILE: usize = 32;

/// A SIMD group for eight rows.
const THREADS: [usize; 3] = [TILE / 8 * SIMD, 1, 1];
