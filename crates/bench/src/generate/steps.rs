//! Seconds of the steps of an engine.

use crate::answer::Answer;
use crate::record::Pass;
use crate::train::peak_bytes;
use candle_core::Device;
use metal_candle::generate::{Engine, Request};
use metal_candle::models::Model;
use metal_candle_cli::error::Result;
use std::time::Instant;

/// Seconds of the pass over the prompts, and of steps after it.
pub struct Secs {
    prefill: f64,
    decode: Vec<f64>,
}

impl Secs {
    /// Mean of the steps instead of each, which is what llama.cpp tells of a text.
    pub fn by_text(self) -> Self {
        let mean = self.decode.iter().sum::<f64>() / self.decode.len() as f64;
        Self {
            decode: vec![mean],
            ..self
        }
    }

    /// These seconds and this process's peak memory.
    pub fn answer(self, device: &Device) -> Answer {
        let mut answer = Answer::default();
        answer.add(Pass::Prefill, vec![self.prefill]);
        answer.add(Pass::Decode, self.decode);
        let peak = peak_bytes(device).map(|bytes| (Pass::Decode, bytes));
        answer.peak_bytes.extend(peak);
        answer
    }
}

/// Generates texts after prompts of these lengths. First texts, which allocate, are not told.
///
/// # Errors
/// Those of the engine.
pub fn measure(
    model: &Model,
    lengths: impl Iterator<Item = usize>,
    n_tokens: usize,
) -> Result<Secs> {
    let vocabulary = model.config.vocab_size;
    let id = |i: usize| ((i * 7919 + 13) % vocabulary) as u32;
    let prompts: Vec<Vec<u32>> = lengths.map(|n| (0..n).map(id).collect()).collect();
    step_secs(model, &prompts, 2)?;
    let mut secs = step_secs(model, &prompts, 1 + n_tokens)?;
    let decode = secs.split_off(1);
    Ok(Secs {
        prefill: secs.iter().sum(),
        decode,
    })
}

/// Seconds of `n` steps. The logits of every token are read back inside of its time, for which a GPU
/// has to be done.
fn step_secs(model: &Model, prompts: &[Vec<u32>], n: usize) -> Result<Vec<f64>> {
    let n_prompt_tokens = prompts.iter().map(Vec::len).sum();
    let mut engine = Engine::new(&model.decoder).with_prefill_tokens(n_prompt_tokens);
    for prompt in prompts {
        engine.insert(Request {
            prompt: prompt.clone(),
            max_tokens: n,
            ..Request::default()
        })?;
    }
    let mut secs = vec![];
    for _ in 0..n {
        let began = Instant::now();
        for (_, step) in engine.step()? {
            step?;
        }
        secs.push(began.elapsed().as_secs_f64());
    }
    Ok(secs)
}
