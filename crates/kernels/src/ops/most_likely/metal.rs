//! A threadgroup for every row, which writes to memory that the host reads.

use crate::metal::{FOUR, Launch, Rows, Source, device_of};
use candle_core::{Error, Result, Tensor};
use metal_candle_mps::apple::memory;

const SOURCE: Source = Source {
    name: "most_likely",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("most_likely.metal"),
    ),
};

/// Tokens of a vocabulary at most: numbers up to it are exact in float32.
const MOST_TOKENS: usize = 1 << 24;

/// Index of a row that has none.
const NONE: u32 = u32::MAX;

pub(super) fn most_likely(logits: &Tensor) -> Result<Vec<Option<u32>>> {
    let device = device_of(logits)?;
    let (storage, layout) = logits.storage_and_layout();
    let rows = Rows::of(&storage, layout)?;
    if rows.width > MOST_TOKENS {
        candle_core::bail!(
            "most_likely: {} logits of a row, at most {MOST_TOKENS}",
            rows.width
        );
    }
    let tokens = memory::readable::<u32>(device, rows.count).map_err(Error::wrap)?;
    let kernel = Rows::choose(&[&rows], ["most_likely", "most_likely_fours"]);
    Launch::new(device, &SOURCE, &[], kernel)?
        .rows(&rows)
        .in_place((&tokens, 0))
        .int(rows.width)?
        .over_long_rows(rows.count, rows.width.div_ceil(FOUR))?;
    let tokens = memory::read::<u32>(device, &tokens, rows.count).map_err(Error::wrap)?;
    let token = |token| (token != NONE).then_some(token);
    Ok(tokens.into_iter().map(token).collect())
}
