//! Matrices as checkpoints have them: dense, or packed by one of the tools that do. A scheme is one
//! file: which tensors a matrix has, and what the configuration says of it.

mod bitsandbytes;
mod fp8;
mod gguf;
mod mlx;
mod on_load;
mod zero_point;

use super::config::Quantization;
use super::weights::{FLOATS, Init, Weights};
use super::{Result, config::Skipped};
use metal_candle_kernels::Weight;

/// The matrix at `path`, `(N, K)`: packed where the checkpoint has it so, or is to be packed.
pub(super) fn matrix(weights: &Weights<'_>, path: &str, dims: (usize, usize)) -> Result<Weight> {
    let packed = match weights.quantization() {
        None => gguf::matrix(weights, path, dims)?,
        Some(Quantization::Mlx(settings)) => mlx::matrix(weights, settings, path, dims)?,
        Some(Quantization::BitsAndBytes(settings)) => {
            bitsandbytes::matrix(weights, settings, path, dims)?
        }
        Some(Quantization::Fp8(settings)) => fp8::matrix(weights, settings, path, dims)?,
        Some(Quantization::ZeroPoint(settings)) => {
            zero_point::matrix(weights, settings, path, dims)?
        }
    };
    match packed {
        Some(packed) => Ok(packed),
        None => {
            let dense = weights.get(&format!("{path}.weight"), dims, Init::Normal)?;
            on_load::matrix(weights, path, dense)
        }
    }
}

/// Notes what the configuration says of packed matrices and no tensor bears out.
pub(super) fn check(weights: &Weights<'_>) {
    let ends: &[&str] = match weights.quantization() {
        None => return,
        Some(Quantization::Mlx(settings)) => {
            mlx::check(weights, settings);
            &[".scales"]
        }
        Some(Quantization::BitsAndBytes(_)) => &[".weight.absmax", ".SCB"],
        Some(Quantization::Fp8(_)) => &[".weight_scale_inv", ".weight_scale"],
        Some(Quantization::ZeroPoint(_)) => &[".qweight", ".weight_packed"],
    };
    if !weights
        .names()
        .any(|name| ends.iter().any(|end| name.ends_with(end)))
    {
        weights.problem("quantization is given, but no tensor is quantized".into());
    }
}

/// List of the modules that a configuration leaves as they are, beside which tensors are held.
#[derive(Clone, Copy)]
struct Listed<'a> {
    /// The modules.
    skipped: &'a Skipped,
    /// Its name.
    field: &'static str,
}

impl Listed<'_> {
    /// Notes a packed matrix that should not be.
    fn check_packed(self, weights: &Weights<'_>, path: &str, tensor: &str) {
        if let Some(name) = self.skipped.name(path) {
            let field = self.field;
            weights.problem(format!("unexpected {tensor}: {field} names {name:?}"));
        }
    }

    /// Notes a matrix of floats that should be packed. The ends of a model are never packed unless they
    /// are.
    fn check_dense(self, weights: &Weights<'_>, path: &str, missing: &str) {
        let name = format!("{path}.weight");
        let is_float = |dtype| FLOATS.contains(&dtype);
        let is_end = !path.contains(".layers.");
        match weights.dtype(&name) {
            Some(dtype) if is_float(dtype) && (is_end || self.skipped.name(path).is_some()) => {}
            Some(dtype) => {
                let field = self.field;
                weights.problem(format!(
                    "missing {missing}: {name} has dtype {dtype:?}, and {field} does not name it"
                ));
            }
            None => {}
        }
    }
}
