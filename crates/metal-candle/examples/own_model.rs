//! A model of one's own, trained by the library's trainer: it says what follows a token from that
//! token alone.
//!
//! ```sh
//! cargo run --release --example own_model -p metal-candle
//! ```
#![allow(clippy::print_stdout, missing_docs)]

use candle_core::{Device, Tensor, Var};
use metal_candle::data::{Batches, Example, Examples};
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::{Context, Embedding, Linear};
use metal_candle::models::{Result, Segment};
use metal_candle::train::{
    Event, Network, Optimizer, Options, Parameter, Parameters, Schedule, Trainer,
};
use metal_candle_kernels::{Activation, glu, tape};
use std::num::NonZeroUsize;

const VOCABULARY: usize = 11;
const WIDTH: usize = 16;

struct Bigram {
    embedding: Embedding,
    gate: Linear,
    up: Linear,
    head: Linear,
}

impl Bigram {
    /// Random weights, all of them trained.
    fn new() -> Result<(Self, Parameters)> {
        let mut all = vec![];
        let mut weight = |name: &str, rows, segment| -> Result<Tensor> {
            let var = Var::randn(0f32, 0.3, (rows, WIDTH), &Device::Cpu)?;
            let weight = var.as_tensor().clone();
            let name = name.to_string();
            all.push(Parameter {
                name,
                var,
                segment,
                rate: 1.0,
                decay: 1.0,
            });
            Ok(weight)
        };
        let embedding = weight("embedding", VOCABULARY, Segment::Embedding)?;
        let gate = weight("gate", WIDTH, Segment::Block(0))?;
        let up = weight("up", WIDTH, Segment::Block(0))?;
        let head = weight("head", VOCABULARY, Segment::Head)?;
        let model = Self {
            embedding: Embedding::new("embedding", embedding),
            gate: Linear::new("gate", gate, None),
            up: Linear::new("up", up, None),
            head: Linear::new("head", head, None),
        };
        Ok((model, Parameters::new(all)))
    }
}

impl Network for Bigram {
    type Pass = Context;

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn n_blocks(&self) -> usize {
        1
    }

    fn pass(&self, _: &Layout, context: &Context) -> Result<Context> {
        Ok(context.clone())
    }

    fn embed(&self, ids: &[u32], layout: &Layout, context: &Context) -> Result<Tensor> {
        let ids = Tensor::new(ids, self.device())?.reshape(layout.dims())?;
        Ok(self.embedding.forward(&ids, context)?)
    }

    fn block(&self, _: usize, x: &Tensor, context: &Context) -> Result<Tensor> {
        let (gate, up) = (self.gate.forward(x, context)?, self.up.forward(x, context)?);
        Ok(tape::add(x, &glu(&gate, &up, Activation::Silu)?)?)
    }

    fn final_norm(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }

    fn head_layer(&self) -> Linear {
        self.head.clone()
    }
}

/// Rows that count on by a step of their own: 0 3 6 9 1 4 ...
fn rows() -> Examples {
    let row = |first: u32| Example {
        tokens: (0..8)
            .map(|i| (first + 3 * i) % VOCABULARY as u32)
            .collect(),
        trained: (0..8).map(|i| i > 0).collect(),
        line: first as usize,
        pair: None,
    };
    (0..VOCABULARY as u32).map(row).collect()
}

/// The losses of a training.
pub fn losses() -> std::result::Result<Vec<f64>, Box<dyn std::error::Error>> {
    let (model, parameters) = Bigram::new()?;
    let options = Options {
        iters: 150,
        schedule: Schedule::constant(3e-2),
        ..Options::default()
    };
    let trainer = Trainer {
        network: &model,
        parameters: &parameters,
        options: &options,
        saves: None,
        data: "rows".into(),
        reduce: None,
    };
    let rows = rows();
    let batches = Batches::shuffled(&rows, NonZeroUsize::MIN.saturating_add(3), 0);
    let mut steps = batches
        .laid_out(Arrangement::Packed)
        .map(|batch| vec![batch]);
    let mut losses = vec![];
    let mut observe = |event: &Event| {
        if let Event::Step { loss, .. } = event {
            losses.push(*loss);
        }
        Ok(())
    };
    let mut optimizer = Optimizer::new(options.rule, &parameters)?;
    trainer.run(&mut optimizer, &mut steps, None, &mut observe, &|| false)?;
    Ok(losses)
}

pub fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    for (i, loss) in losses()?.iter().enumerate().step_by(10) {
        println!("step {}: loss {loss:.4}", i + 1);
    }
    Ok(())
}
