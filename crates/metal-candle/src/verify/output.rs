use super::check::Figures;
use crate::data::{Batch, IGNORED};
use crate::device::read_back;
use crate::lora::{AdapterSet, Context};
use crate::train::{Network, Result};
use candle_core::Tensor;
use serde::Serialize;
use std::sync::Arc;

/// Change of a logit that rounding alone may make, as a share of the largest: 32 units in the last place of float32.
const ROUNDING: f64 = 32.0 * f32::EPSILON as f64;

/// Places whose logits are compared.
const PLACES: usize = 16;

/// Logits with an adapter beside those without.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Output {
    /// Places whose logits were compared.
    pub places: usize,
    /// Largest difference.
    pub change: f64,
    /// Largest logit without the adapter, its sign aside.
    pub largest: f64,
    /// Difference from which on it is more than rounding.
    pub rounding: f64,
    /// Places of which another token is the most likely one.
    pub other_tokens: usize,
}

/// Compares the logits of the places of `batch` that have a loss, with the adapters `set` and without.
///
/// # Errors
/// When a token is out of range, the batch is too long for the model, or memory runs out.
pub fn output(network: &impl Network, set: Arc<AdapterSet>, batch: &Batch) -> Result<Output> {
    let without = logits(network, &Context::inference(None), batch)?;
    let with = logits(network, &Context::inference(Some(set)), batch)?;
    Ok(compared(&with, &without))
}

/// Logits of the first places that have a loss, `(n, V)`.
fn logits(network: &impl Network, context: &Context, batch: &Batch) -> Result<Vec<Vec<f32>>> {
    let pass = network.pass(&batch.layout, context)?;
    let mut x = network.embed(&batch.inputs, &batch.layout, context)?;
    for index in 0..network.n_blocks() {
        x = network.block(index, &x.detach(), &pass)?;
    }
    let hidden = network.final_norm(&x.detach())?.flatten_to(1)?.detach();
    let places = batch.targets.iter().enumerate();
    let places = places.filter(|(_, target)| **target != IGNORED);
    let places: Vec<u32> = places.map(|(place, _)| place as u32).take(PLACES).collect();
    if places.is_empty() {
        return Ok(vec![]);
    }
    let places = Tensor::new(places, hidden.device())?;
    let logits = network.logits(&hidden.index_select(&places, 0)?, context)?;
    Ok(read_back(network.device(), || logits.to_vec2::<f32>())?)
}

fn compared(with: &[Vec<f32>], without: &[Vec<f32>]) -> Output {
    let pairs = with.iter().flatten().zip(without.iter().flatten());
    let changes = pairs.map(|(a, b)| f64::from((a - b).abs()));
    let largest = largest(without.iter().flatten().map(|logit| f64::from(logit.abs())));
    let others = with.iter().zip(without);
    Output {
        places: with.len(),
        change: self::largest(changes),
        largest,
        rounding: ROUNDING * largest,
        other_tokens: others.filter(|(a, b)| best(a) != best(b)).count(),
    }
}

/// The largest number, NaN where there is one.
fn largest(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.fold(0.0, |largest, number| match number.is_nan() {
        true => number,
        false if number > largest => number,
        false => largest,
    })
}

fn best(logits: &[f32]) -> Option<usize> {
    let places = logits.iter().enumerate();
    places.max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i)
}

impl Figures for Output {
    const NAME: &'static str = "output";

    fn passed(&self) -> bool {
        self.change.is_finite() && self.change > self.rounding
    }

    fn text(&self) -> String {
        let (change, largest, n) = (self.change, self.largest, self.places);
        match self.change.is_finite() && !self.passed() {
            true => format!(
                "the adapter changes nothing: logits of {n} tokens by {change:.1e} at most, where rounding makes {:.1e}",
                self.rounding
            ),
            false => format!(
                "the adapter changes logits of {n} tokens by up to {change:.3}, of {largest:.1}; \
                 the most likely token of {}",
                self.other_tokens
            ),
        }
    }
}
