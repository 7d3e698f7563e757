//! A small model, an adapter of it, and the tokens that it is trained on.

use super::Result;
use super::numbers::Numbers;
use crate::data::{Batch, IGNORED};
use crate::files;
use crate::layout::{Arrangement, Layout};
use crate::lora::{AdapterSet, LoraConfig, Plan, is_b};
use crate::models::{Model, save_checkpoint};
use crate::train::Parameters;
use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use std::sync::Arc;

const N_ROWS: usize = 4;
const N_TOKENS: usize = 24;

/// The model on `device`, through a checkpoint in `dtype`, as any model comes there.
pub fn model(dtype: DType, device: &Device) -> Result<Model> {
    let config: Value = serde_json::from_str(include_str!("model.json"))?;
    // Random weights have the names and the shapes.
    let mut named = Model::random(config.clone(), 0, &Device::Cpu)?
        .decoder
        .tensors();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut numbers = Numbers::new(1);
    let weights = named.into_iter().map(|(name, like)| {
        let values = match like.dims() {
            dims @ [_] => numbers.norm(dims)?,
            dims => numbers.matrix(dims, 512.0)?,
        };
        Ok((name, values.to_dtype(dtype)?))
    });
    let weights = weights.collect::<candle_core::Result<_>>()?;
    let folder = tempfile::tempdir()
        .map_err(files::Error::at("create", &std::env::temp_dir()))
        .map_err(crate::models::Error::from)?;
    save_checkpoint(folder.path(), &config, weights)?;
    Ok(Model::load(folder.path(), device)?)
}

/// An adapter whose factors are both other than zero: all have gradients in the first step.
pub fn adapter(model: &Model) -> Result<Parameters> {
    let decoder = &model.decoder;
    let config = LoraConfig {
        r: 4,
        alpha: 8.0,
        ..LoraConfig::default()
    };
    let plan = Plan::new(&config, &decoder.layer_infos()?)?;
    let set = AdapterSet::fresh(&plan, &decoder.adaptable(), 0)?;
    let parameters = Parameters::of_adapters(Arc::new(set), decoder);
    let mut sorted: Vec<_> = parameters.as_slice().iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut numbers = Numbers::new(2);
    for parameter in sorted {
        let divisor = if is_b(&parameter.name) { 2048.0 } else { 512.0 };
        let values = numbers.matrix(parameter.var.dims(), divisor)?;
        parameter.var.set(&values.to_device(decoder.device())?)?;
    }
    Ok(parameters)
}

/// Batches of the steps, without end.
pub fn batches(vocab_size: usize) -> impl Iterator<Item = Batch> {
    let mut numbers = Numbers::new(3);
    (0..).map(move |step| batch(step, || numbers.token(vocab_size)))
}

/// Rows of which the beginning is not trained.
fn batch(step: usize, mut token: impl FnMut() -> u32) -> Batch {
    let mut batch = Batch {
        layout: Layout::new(Arrangement::Padded, &[N_TOKENS - 1; N_ROWS]),
        lines: (1..=N_ROWS).collect(),
        ..Batch::default()
    };
    for row in 0..N_ROWS {
        let tokens: Vec<u32> = (0..N_TOKENS).map(|_| token()).collect();
        let first_trained = 3 + (step + 5 * row) % 7;
        let target = |i: usize| match i < first_trained {
            true => IGNORED,
            false => i64::from(tokens[i]),
        };
        batch.targets.extend((1..N_TOKENS).map(target));
        batch.inputs.extend(&tokens[..N_TOKENS - 1]);
        batch.trained_tokens += N_TOKENS - first_trained;
    }
    batch
}

/// Euclidean norm of all gradients together.
pub fn norm<'a>(gradients: impl Iterator<Item = &'a Tensor>) -> Result<f64> {
    let mut squares = 0.0;
    for gradient in gradients {
        squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(squares.sqrt())
}
