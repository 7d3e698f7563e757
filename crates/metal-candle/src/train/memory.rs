//! Memory of a step, measured on a few blocks and extrapolated to all.
//!
//! A step asks before every block, forward and backward, whether it should stop. There the bytes that the program holds
//! are read, and the most that it held since the last block.

use super::step::interruptible;
use super::{Network, Objective, Parameters, Result};
use crate::data::Batch;
use crate::layout::Layout;
use crate::lora::{Context, Linear, Mode};
use crate::models::{self, Segment};
use candle_core::{Device, Tensor};
use std::cell::RefCell;

/// Blocks that are measured: the first one warms up what threads keep, of the others the second one's bytes are those of all.
const MEASURED: usize = 3;

/// Count of the bytes that the program holds.
pub trait Meter {
    /// Bytes held now.
    fn held(&self) -> i64;

    /// The most bytes held since the last call, or since counting began.
    fn take_peak(&self) -> i64;
}

/// Bytes at a place of a step.
#[derive(Clone, Copy, Debug)]
struct Place {
    held: i64,
    /// The most since the place before.
    peak: i64,
}

/// The most bytes that a step on `batch` holds beyond what is held before it, gradients included.
///
/// # Errors
/// Those of the step.
pub fn peak_of_step(
    network: &impl Network,
    parameters: &Parameters,
    (objective, batch, recompute): (&Objective, &Batch, bool),
    meter: &dyn Meter,
) -> Result<u64> {
    let first = match parameters.first_segment() {
        Segment::Embedding => 0,
        Segment::Block(first) => first,
        Segment::Head => network.n_blocks(),
    };
    let n_trained = network.n_blocks() - first;
    let n = n_trained.min(MEASURED);
    let few = Few { network, first, n };
    let parameters = parameters.of_blocks(first..first + n);
    let pairs = objective.of_step(std::slice::from_ref(batch))?;
    let places = RefCell::new(vec![]);
    let note = || {
        let (peak, held) = (meter.take_peak(), meter.held());
        places.borrow_mut().push(Place { held, peak });
    };
    let ask = || {
        note();
        false
    };
    note();
    let how = (Mode::training(0), recompute, pairs.as_ref());
    let result = interruptible(&few, &parameters, batch, how, &ask)?;
    note();
    drop(result);
    let peak = extrapolated(&places.borrow(), n, n_trained - n);
    Ok(u64::try_from(peak).unwrap_or(0))
}

/// Peak of a step over `more` blocks than the `n` that `places` are of. The places are one before the step, one before every
/// block of every pass, of which the last two are forward and backward, and one behind it.
fn extrapolated(places: &[Place], n: usize, more: usize) -> i64 {
    let before = places[0].held;
    let end = places.len() - 1;
    let backward = end - n;
    let peaks = |range: std::ops::Range<usize>| {
        let peaks = places[range].iter().map(|place| place.peak);
        peaks.max().unwrap_or(before)
    };
    if n < MEASURED {
        return peaks(1..end + 1) - before;
    }
    let grown = |place: usize| places[place].held - places[place - 1].held;
    let more = more as i64;
    // What a block keeps between forward and backward, and what is left of it afterwards: its gradients.
    let kept = more * grown(backward - 1);
    let left = kept + more * grown(backward + 2);
    let low = peaks(1..backward);
    let top = peaks(backward..backward + 2) + kept;
    let bottom = peaks(backward + 2..end + 1) + left;
    low.max(top).max(bottom) - before
}

/// Some consecutive blocks of a network as if they were all.
struct Few<'a, N> {
    network: &'a N,
    first: usize,
    n: usize,
}

impl<N: Network> Network for Few<'_, N> {
    type Pass = N::Pass;

    fn device(&self) -> &Device {
        self.network.device()
    }

    fn n_blocks(&self) -> usize {
        self.n
    }

    fn pass(&self, layout: &Layout, context: &Context) -> models::Result<N::Pass> {
        self.network.pass(layout, context)
    }

    fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> models::Result<Tensor> {
        self.network.embed(ids, layout, context)
    }

    fn block(&self, i: usize, x: &Tensor, pass: &N::Pass) -> models::Result<Tensor> {
        self.network.block(self.first + i, x, pass)
    }

    fn final_norm(&self, x: &Tensor) -> models::Result<Tensor> {
        self.network.final_norm(x)
    }

    fn head_layer(&self) -> Linear {
        self.network.head_layer()
    }

    fn logit_cap(&self) -> Option<f64> {
        self.network.logit_cap()
    }

    fn logits(&self, hidden: &Tensor, context: &Context) -> models::Result<Tensor> {
        self.network.logits(hidden, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places of a step in which a block keeps 10 and its gradients are `gradient`.
    fn places(n: i64, gradient: i64) -> Vec<Place> {
        let mut places = vec![Place {
            held: 100,
            peak: 100,
        }];
        let mut note = |held, peak| places.push(Place { held, peak });
        for block in 0..n {
            note(105 + 10 * block, 107 + 10 * block);
        }
        let top = 105 + 10 * n;
        note(top, top + 20);
        for block in 1..=n {
            let held = top + (gradient - 10) * block;
            note(held, held - gradient + 10 + 4 + gradient);
        }
        places
    }

    #[test]
    fn few_blocks_tell_of_many() {
        for gradient in [0, 2, 10, 30] {
            for n in [3, 4, 7, 30] {
                let all = places(n, gradient);
                let most = all.iter().map(|place| place.peak).max().unwrap() - 100;
                let few = places(3, gradient);
                assert_eq!(
                    extrapolated(&few, 3, n as usize - 3),
                    most,
                    "{n} {gradient}"
                );
            }
        }
        for n in [1, 2] {
            let most = places(n, 3).iter().map(|place| place.peak).max().unwrap() - 100;
            assert_eq!(extrapolated(&places(n, 3), n as usize, 0), most);
        }
    }
}
