//! Row kernels at sizes of real models, forward and backward: `cargo xtask gpu-replay` records these launches, and
//! `crates/soft-metal/replay/rates.py` times them on another GPU. Numbers do not matter; every one is checked to be finite.

#![allow(clippy::print_stdout)]

#[cfg(soft_metal)]
extern crate soft_metal as _;

use candle_core::{DType, Device, Tensor, Var};
use metal_candle_kernels::{Activation, RopePairs, glu, rms_norm, rms_norm_residual, rope_pair, softmax};
use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Rows and their width: hidden states of Qwen2.5-0.5B, Llama-3.2-1B and Qwen3-4B.
const HIDDEN: [(usize, usize); 3] = [(4096, 896), (2048, 2048), (1024, 2560)];

/// Inside the feed-forward layers of the first two.
const INNER: [(usize, usize); 2] = [(512, 4864), (512, 8192)];

/// Scores of 14 heads of 512 tokens, and of more tokens.
const SCORES: [(usize, usize); 2] = [(14 * 512, 512), (2048, 2048)];

/// Tokens, heads, key-value heads and their width, of the same models.
const HEADS: [[usize; 4]; 3] = [[4096, 14, 2, 64], [2048, 32, 8, 64], [1024, 32, 8, 128]];

fn main() -> ExitCode {
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
    let device = Device::new_metal(0)?;
    for dtype in [DType::F32, DType::BF16] {
        let rows = Rows { device: &device, dtype };
        SCORES.into_iter().try_for_each(|size| rows.softmax(size))?;
        HIDDEN.into_iter().try_for_each(|size| rows.norm(size))?;
        INNER.into_iter().try_for_each(|size| rows.gated(size))?;
        HEADS.into_iter().try_for_each(|sizes| rows.rotated(sizes))?;
    }
    Ok(())
}

struct Rows<'a> {
    device: &'a Device,
    dtype: DType,
}

impl Rows<'_> {
    /// Ones in memory of just this size, as an upload makes it.
    fn ones(&self, size: impl Into<candle_core::Shape>, dtype: DType) -> Result<Tensor> {
        Ok(Tensor::ones(size, dtype, &Device::Cpu)?.to_device(self.device)?)
    }

    fn input(&self, size: (usize, usize)) -> Result<Var> {
        Ok(Var::from_tensor(&self.ones(size, self.dtype)?)?)
    }

    /// Walks back from a result, whose gradient lies as it does.
    fn backward(&self, y: &Tensor) -> Result<()> {
        let total = (y * self.ones(y.shape(), self.dtype)?)?.sum_all()?;
        total.backward()?;
        let total = total.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        if !total.is_finite() {
            return Err(format!("the sum of a result of {:?} is {total}", y.shape()).into());
        }
        Ok(())
    }

    fn softmax(&self, size: (usize, usize)) -> Result<()> {
        let x = self.input(size)?;
        self.backward(&softmax(&x)?)
    }

    fn norm(&self, size: (usize, usize)) -> Result<()> {
        let (x, residual) = (self.input(size)?, self.ones(size, self.dtype)?);
        let weight = Var::from_tensor(&self.ones(size.1, self.dtype)?)?;
        self.backward(&rms_norm(&x, &weight, 1e-6)?)?;
        let (sum, y) = rms_norm_residual(&x, &residual, &weight, 1e-6)?;
        self.backward(&(sum + y)?)
    }

    fn gated(&self, size: (usize, usize)) -> Result<()> {
        let (gate, up) = (self.input(size)?, self.input(size)?);
        self.backward(&glu(&gate, &up, Activation::Silu)?)
    }

    /// Queries and keys as their projections leave them: `(B, T, H, D)`, seen as `(B, H, T, D)`.
    fn rotated(&self, [tokens, heads, kv_heads, width]: [usize; 4]) -> Result<()> {
        let of = |heads: usize| self.ones((1, tokens, heads, width), self.dtype);
        let (q, k) = (of(heads)?.transpose(1, 2)?, of(kv_heads)?.transpose(1, 2)?);
        let table = self.ones((tokens, width / 2), DType::F32)?;
        let [q, k] = rope_pair([&q, &k], [&table, &table], RopePairs::Halves)?;
        self.backward(&q)?;
        self.backward(&k)
    }
}
