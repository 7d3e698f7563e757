//! Rotation into caches, held against the rotation itself.

use crate::ops::rope::{CacheSlot, RopePairs, rope, rope_append};
use crate::testkit::Failure;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// Tokens of each sequence, and the place of the first in its cache.
const SPANS: [(usize, usize); 3] = [(2, 1), (1, 6), (4, 0)];

/// Tokens that a cache holds.
const CAPACITY: usize = 7;

/// Checks every dtype, whole heads and such with a rest, and views.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for (width, half) in [(8, 4), (64, 32), (11, 3)] {
            for pairs in RopePairs::ALL {
                Setting::new(dtype, (width, half), device)?.check(pairs)?;
            }
        }
    }
    Ok(())
}

struct Setting {
    qkv: [Tensor; 3],
    tables: [Tensor; 2],
}

impl Setting {
    /// Heads of `width` elements, behind each other in every token, as a product leaves them.
    fn new(dtype: DType, (width, half): (usize, usize), device: &Device) -> CandleResult<Self> {
        let tokens: usize = SPANS.iter().map(|(n, _)| n).sum();
        let heads = |heads: usize, seed: f32| {
            let numbers = (0..tokens * heads * width).map(|i| (seed + i as f32 * 0.7).sin());
            let numbers: Vec<f32> = numbers.collect();
            let x = Tensor::from_vec(numbers, (1, tokens, heads, width), device)?;
            x.to_dtype(dtype)?.transpose(1, 2)
        };
        let table = |seed: f32| {
            let numbers = (0..tokens * half).map(|i| (seed + i as f32).cos());
            Tensor::from_vec(numbers.collect::<Vec<f32>>(), (tokens, half), device)
        };
        Ok(Self {
            qkv: [heads(3, 0.1)?, heads(2, 0.2)?, heads(2, 0.3)?],
            tables: [table(0.4)?, table(0.5)?],
        })
    }

    fn check(&self, pairs: RopePairs) -> Result<(), Failure> {
        let ([q, k, v], [cos, sin]) = (self.qkv.each_ref(), self.tables.each_ref());
        let (_, groups, _, width) = k.dims4()?;
        let memory = || Tensor::ones((1, groups, CAPACITY, width), k.dtype(), k.device());
        let caches = SPANS.map(|_| Ok([memory()?, memory()?]));
        let caches = caches.into_iter().collect::<CandleResult<Vec<_>>>()?;
        let slots = SPANS
            .iter()
            .zip(&caches)
            .map(|((tokens, start), stored)| CacheSlot {
                tokens: *tokens,
                stored: stored.each_ref(),
                start: *start,
            });
        let got = rope_append([q, k, v], [cos, sin], pairs, &slots.collect::<Vec<_>>())?;
        same("queries", &got, &rope(q, cos, sin, pairs)?)?;
        let rotated = rope(k, cos, sin, pairs)?;
        let mut place = 0;
        for ((tokens, start), [keys, values]) in SPANS.iter().zip(&caches) {
            for (what, stored, new) in [("keys", keys, &rotated), ("values", values, v)] {
                let new = new.narrow(2, place, *tokens)?;
                same(what, stored, &around(&new, *start)?)?;
            }
            place += tokens;
        }
        Ok(())
    }
}

/// Ones, but for the new tokens.
fn around(new: &Tensor, start: usize) -> CandleResult<Tensor> {
    let (b, g, n, d) = new.dims4()?;
    let ones = |n| Tensor::ones((b, g, n, d), new.dtype(), new.device());
    let mut parts = vec![new.contiguous()?];
    if start > 0 {
        parts.insert(0, ones(start)?);
    }
    if start + n < CAPACITY {
        parts.push(ones(CAPACITY - start - n)?);
    }
    Tensor::cat(&parts, 2)
}

fn same(what: &str, got: &Tensor, want: &Tensor) -> Result<(), Failure> {
    let numbers = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
    let (got, want) = (numbers(got)?, numbers(want)?);
    match got == want {
        true => Ok(()),
        false => {
            let error = format!("rope_append: {what} {got:?}, expected {want:?}");
            Err(candle_core::Error::msg(error).into())
        }
    }
}
