//! Mixed work again and again, to see that nothing grows.
//!
//! ```sh
//! cargo run --release --example soak -p metal-candle -- metal 1000
//! cargo run --release --example soak -p metal-candle -- metal 100000
//! ```
//! Every iteration takes a training step on small tensors, and on a GPU multiplies by every engine; nothing
//! is read back, the device is waited for every [`DRAIN_EVERY`] iterations. Resident memory is printed
//! after every power of ten. The example fails if it grows by more than [`BOUND`] after the tenth part
//! of the iterations, when every cache is warm, or if a number is not finite.
//!
//! `cargo xtask soft-metal soak 300` runs it on Metal in software.

#![allow(clippy::print_stdout)]

#[cfg(soft_metal)]
extern crate soft_metal as _;

use candle_core::{DType, Device, Tensor, Var};
use metal_candle::device::{finish, round};
use metal_candle_kernels::adamw::{self, AdamW, Moments, Update};
use metal_candle_kernels::{Activation, AttentionMask, LoraWeights, Tape, tape};
use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Iterations between two waits: what candle keeps for a GPU until then is bounded by them.
const DRAIN_EVERY: usize = 50;

/// Most bytes that may be added: a leak of 100 bytes in an iteration shows in 100000 of them.
const BOUND: usize = 8 << 20;

const ROWS: usize = 24;
const WIDTH: usize = 32;
const VOCABULARY: usize = 40;

fn main() -> ExitCode {
    // Until its end no rule of Metal is broken, and what is made is gone by then.
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::new();
    let outcome = run();
    metal_candle_kernels::release();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (device, iterations) = match &words[..] {
        [device, n] if device == "cpu" => (Device::Cpu, n.parse()?),
        [device, n] if device == "metal" => (Device::new_metal(0)?, n.parse()?),
        _ => return Err("arguments: cpu|metal ITERATIONS".into()),
    };
    let mut work = Work::new(&device)?;
    let mut settled = None;
    for done in 1..=iterations {
        let loss = round(|| work.iterate(done))?;
        if done % DRAIN_EVERY == 0 || done == iterations || is_power_of_ten(done) {
            finish(&device)?;
        }
        if done == iterations || is_power_of_ten(done) {
            let bytes = report(done, &loss)?;
            if done >= iterations / 10 && settled.is_none() {
                settled = Some(bytes);
            }
        }
    }
    check_growth(settled, resident_bytes()?)
}

fn is_power_of_ten(n: usize) -> bool {
    n == 10usize.pow(n.ilog10())
}

fn report(done: usize, loss: &Tensor) -> Result<usize> {
    let loss = loss.to_scalar::<f32>()?;
    let bytes = resident_bytes()?;
    let mebibytes = bytes as f64 / (1 << 20) as f64;
    println!("{done:>8} iterations {mebibytes:>9.1} MiB resident, loss {loss:.4}");
    match loss.is_finite() {
        true => Ok(bytes),
        false => Err("the loss is not finite".into()),
    }
}

fn resident_bytes() -> Result<usize> {
    let memory = memory_stats::memory_stats().ok_or("the system does not tell the memory")?;
    Ok(memory.physical_mem)
}

fn check_growth(settled: Option<usize>, last: usize) -> Result<()> {
    let grown = last.saturating_sub(settled.unwrap_or(last));
    println!("{grown} bytes more than after the tenth part");
    match grown <= BOUND {
        true => Ok(()),
        false => Err(format!("memory grew by more than {BOUND} bytes").into()),
    }
}

/// A block of one adapted layer with a head, which is trained.
struct Work {
    x: Tensor,
    norm: Tensor,
    weight: Tensor,
    head: Tensor,
    targets: Tensor,
    a: Var,
    b: Var,
    moments: [Moments; 2],
}

impl Work {
    fn new(device: &Device) -> Result<Self> {
        let numbers = |rows: usize, columns: usize, size: f32| {
            let n = rows * columns;
            let wave = |i: usize| size * (i as f32 * 0.7).sin();
            Tensor::from_vec((0..n).map(wave).collect(), (rows, columns), device)
        };
        let targets: Vec<i64> = (0..ROWS).map(|i| (i * 7 % VOCABULARY) as i64).collect();
        let a = Var::from_tensor(&numbers(4, WIDTH, 0.2)?)?;
        let b = Var::zeros((WIDTH, 4), DType::F32, device)?;
        Ok(Self {
            x: numbers(ROWS, WIDTH, 1.0)?,
            norm: Tensor::ones(WIDTH, DType::F32, device)?,
            weight: numbers(WIDTH, WIDTH, 0.3)?,
            head: numbers(VOCABULARY, WIDTH, 0.3)?,
            targets: Tensor::new(targets, device)?,
            moments: [Moments::zeros_like(&a)?, Moments::zeros_like(&b)?],
            a,
            b,
        })
    }

    /// One training step; gives the loss without waiting for it.
    fn iterate(&mut self, number: usize) -> Result<Tensor> {
        let (loss, tape) = Tape::record(|| self.loss())?;
        let gradients = tape.backward(&loss, &loss.ones_like()?)?;
        let gradient = |var: &Var| gradients.get(var).ok_or("a parameter has no gradient");
        let (da, db) = (gradient(&self.a)?, gradient(&self.b)?);
        let parameters = [(&self.a, da), (&self.b, db)];
        let mut updates: Vec<_> = parameters
            .into_iter()
            .zip(&mut self.moments)
            .map(|((parameter, gradient), moments)| Update {
                parameter,
                gradient,
                moments,
            })
            .collect();
        adamw::step(&AdamW::default(), number, &mut updates)?;
        #[cfg(any(target_vendor = "apple", soft_metal))]
        self.multiply_by_every_engine()?;
        Ok(loss)
    }

    /// MPS autoreleases much.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn multiply_by_every_engine(&self) -> Result<()> {
        use metal_candle_mps::plan::Engine;
        use metal_candle_mps::tensor::{MatMulOptions, MpsMatMul};

        let Device::Metal(device) = self.x.device() else {
            return Ok(());
        };
        let caps = metal_candle_mps::apple::caps(device)?;
        let ndarray = caps.ndarray.then_some(Engine::NdArray);
        let matrix = caps.mps.then_some(Engine::Matrix);
        for engine in [Some(Engine::Steel), ndarray, matrix] {
            let options = MatMulOptions {
                engine,
                ..MatMulOptions::default()
            };
            self.x.mps_matmul_with(&self.weight, &options)?;
        }
        Ok(())
    }

    fn loss(&self) -> Result<Tensor> {
        let normed = metal_candle_kernels::rms_norm(&self.x, &self.norm, 1e-6)?;
        let lora = LoraWeights {
            a: &self.a,
            b: &self.b,
            scale: 2.0,
            dropout: None,
        };
        let y =
            metal_candle_kernels::lora_linear(&normed, &self.weight.clone().into(), None, lora)?;
        let y = metal_candle_kernels::glu(&y, &self.attended(&y)?, Activation::Silu)?;
        let y = tape::add(&y, &metal_candle_kernels::softmax(&y)?)?;
        Ok(metal_candle_kernels::linear_cross_entropy(
            &y,
            &self.head.clone().into(),
            &self.targets,
            None,
        )?)
    }

    /// Two heads over themselves.
    fn attended(&self, y: &Tensor) -> Result<Tensor> {
        let heads = tape::reshape(y, (1, ROWS, 2, WIDTH / 2))?;
        let heads = tape::transpose(&heads, 1, 2)?;
        let mask = AttentionMask {
            causal: true,
            ..AttentionMask::default()
        };
        let y = metal_candle_kernels::attention(&heads, &heads, &heads, &mask, 0.25)?;
        let y = tape::transpose(&y, 1, 2)?;
        Ok(tape::reshape(&y, (ROWS, WIDTH))?)
    }
}
