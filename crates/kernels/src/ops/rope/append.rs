//! Rotation on the way into a cache.

use super::{Rope, RopePairs, check, rope};
use crate::graph::path::{Devices, metal};
use crate::{Error, Result};
use candle_core::Tensor;

type Append = fn(&Rope, [&Tensor; 3], &[CacheSlot<'_>]) -> Result<Tensor>;

/// Queries, keys and values in one launch for each slot.
const APPEND: Devices<Append> = Devices {
    cpu: None,
    metal: metal!(super::metal::append),
    cuda: None,
};

/// [`rope`] of queries, `(1, H, T, D)`, and of keys, which are written with the values to the places of their tokens in
/// caches. Of the tokens, those of a sequence lie behind each other, and the sequences are those of the slots.
///
/// # Errors
/// As [`rope`], and when a slot is not in its cache.
pub fn rope_append(
    [q, k, v]: [&Tensor; 3],
    [cos, sin]: [&Tensor; 2],
    pairs: RopePairs,
    slots: &[CacheSlot<'_>],
) -> Result<Tensor> {
    check(q, cos, sin)?;
    check(k, cos, sin)?;
    slots.iter().try_for_each(|slot| slot.check(k, v))?;
    let stored = || slots.iter().flat_map(|slot| slot.stored);
    let is_tracked = stored().chain([q, k, v]).any(Tensor::track_op);
    let others = || stored().chain([k, v]);
    let is_one = others().all(|x| x.dtype() == q.dtype()) && q.dim(3)? == k.dim(3)?;
    let kernel = match q.device().is_metal() && is_one && !is_tracked {
        true => APPEND.kernel("rope", q, others().chain([cos, sin])),
        false => None,
    };
    if let Some(run) = kernel {
        return run(&Rope::new([cos, sin], pairs), [q, k, v], slots);
    }
    let rotated = rope(k, cos, sin, pairs)?;
    let mut place = 0;
    for slot in slots {
        for (stored, new) in slot.stored.iter().zip([&rotated, v]) {
            let new = new.narrow(2, place, slot.tokens)?.contiguous()?;
            stored.slice_set(&new, 2, slot.start)?;
        }
        place += slot.tokens;
    }
    rope(q, cos, sin, pairs)
}

/// Place of new keys and values in a cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheSlot<'a> {
    /// Number of new tokens.
    pub tokens: usize,
    /// Keys and values of the cache, `(1, G, capacity, D)`, changed in place.
    pub stored: [&'a Tensor; 2],
    /// Place of the first new token.
    pub start: usize,
}

impl CacheSlot<'_> {
    fn check(&self, k: &Tensor, v: &Tensor) -> Result<()> {
        let (b, g, _, d) = k.dims4()?;
        let [keys, values] = self.stored;
        let fits = |t: &Tensor| {
            let dims = t.dims();
            dims.len() == 4
                && [dims[0], dims[1], dims[3]] == [b, g, d]
                && self.start + self.tokens <= dims[2]
        };
        for (what, stored, new) in [("keys", keys, k), ("values", values, v)] {
            if !fits(stored) || new.dims() != k.dims() {
                let end = self.start + self.tokens;
                let expected = format!("({b}, {g}, {end} or more, {d})");
                return Err(Error::shape("rope_append", what, expected, stored));
            }
        }
        Ok(())
    }

    /// Memory of the new keys and values.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    pub(super) fn views(&self) -> candle_core::Result<[Tensor; 2]> {
        let [keys, values] = self.stored;
        let view = |stored: &Tensor| stored.narrow(2, self.start, self.tokens);
        Ok([view(keys)?, view(values)?])
    }
}
