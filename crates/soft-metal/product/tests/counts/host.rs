//! What launches cost the host, kernels not executed.

use crate::allocations::allocations;
use crate::setup::*;
use candle_core::Device;
use metal_candle::generate::{Engine, Request};
use metal_candle::lora::Mode;
use metal_candle::train::{Optimizer, Parameters, Rule, step::step};
use soft_metal::{Guard, drain, without_launches};
use std::time::{Duration, Instant};

/// What the thread that encodes paid for some launches.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub launches: usize,
    pub allocations: usize,
    pub time: Duration,
}

impl Cost {
    fn of(run: impl FnOnce()) -> Self {
        let began = Instant::now();
        let (((), allocations), launches) = without_launches(|| allocations(run));
        Self { launches, allocations, time: began.elapsed() }
    }

    pub fn allocations_a_launch(&self) -> f64 {
        self.allocations as f64 / self.launches as f64
    }

    pub fn micros_a_launch(&self) -> f64 {
        self.time.as_secs_f64() * 1e6 / self.launches as f64
    }
}

/// Costs of `n` runs behind some with kernels, which have compiled them and made all buffers.
fn costs(n: usize, mut run: impl FnMut()) -> Vec<Cost> {
    (0..6).for_each(|_| run());
    drain();
    let costs = (0..n).map(|_| Cost::of(&mut run)).collect();
    drain();
    costs
}

/// Costs of something on a device, with nothing left of it.
fn on_device(f: impl FnOnce(&Device) -> Vec<Cost>) -> Vec<Cost> {
    let _guard = Guard::new();
    let costs = f(&Device::new_metal(0).unwrap());
    metal_candle_kernels::release();
    costs
}

/// Costs of `n` tokens, at most 240, each the most likely one.
pub fn of_tokens(shape: Shape, n: usize, is_adapted: bool) -> Vec<Cost> {
    on_device(|device| {
        let model = model(device, shape);
        let mut engine = Engine::new(&model.decoder);
        let adapter = is_adapted.then(|| adapter(&model));
        let request = Request { prompt: vec![1, 2, 3], max_tokens: n + 9, adapter, ..Request::default() };
        engine.insert(request).unwrap();
        costs(n, || assert_eq!(engine.step().unwrap().len(), 1))
    })
}

/// Costs of `n` steps of training.
pub fn of_steps(shape: Shape, n: usize) -> Vec<Cost> {
    on_device(|device| {
        let model = model(device, shape);
        let parameters = Parameters::of_adapters(adapter(&model), &model.decoder);
        let mut optimizer = Optimizer::new(Rule::default(), &parameters).unwrap();
        let batch = batch();
        costs(n, || {
            let result = step(&model.decoder, &parameters, &batch, Mode::training(0), false).unwrap();
            optimizer.step(&parameters, &result.gradients, 1e-4, 1.0 / 48.0).unwrap();
        })
    })
}
