//! Test of a device by a whole training: ten steps of a small model, with the losses and the norms of gradients that PyTorch
//! computed with transformers and PEFT.
//!
//! Nothing is read but what is in this folder. Weights, adapter and tokens are numbers of a formula, which
//! `scripts/golden/self_test.py` has too. They are numbers of 8 bits, so the losses are those of every dtype.

mod numbers;
mod subject;

use crate::device::round;
use crate::lora::Mode;
use crate::train::step::step;
use crate::train::{Optimizer, Options};
use crate::{lora, models, train};
use candle_core::{DType, Device};
use serde::Deserialize;

/// Step so long that a wrong one is a tenth of the last loss.
const LEARNING_RATE: f64 = 3e-2;
const MAX_GRAD_NORM: f64 = 1.0;

/// Distance that losses and norms may have, relative to what they should be. Sums in another order are 1e-5 off after ten
/// steps; a learning rate that is off by a twentieth is seen.
const TOLERANCE: f64 = 1e-3;

/// Reason why a device failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A number is another one.
    #[error(
        "step {step}: {what} {got} instead of {want}, off by {:.2e} of it, allowed is {TOLERANCE:.0e}",
        (got - want).abs() / want
    )]
    Number {
        /// The step, counted from 1.
        step: usize,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// The device's number.
        got: f64,
        /// PyTorch's number.
        want: f64,
    },
    /// The model cannot be made.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The adapter cannot be made.
    #[error(transparent)]
    Adapter(#[from] lora::Error),
    /// A step fails.
    #[error(transparent)]
    Training(#[from] train::Error),
    /// The device fails.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// What this program holds cannot be read.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

type Result<T> = std::result::Result<T, Failure>;

#[derive(Deserialize)]
struct Golden {
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
}

/// Trains on `device` a model whose weights are stored in `dtype`.
///
/// # Errors
/// The first number that is off, or what the device fails at.
pub fn training(dtype: DType, device: &Device) -> Result<()> {
    run(dtype, device, LEARNING_RATE)
}

fn run(dtype: DType, device: &Device, learning_rate: f64) -> Result<()> {
    let golden: Golden = serde_json::from_str(include_str!("losses.json"))?;
    let wanted = golden.losses.into_iter().zip(golden.grad_norms);
    let model = subject::model(dtype, device)?;
    let parameters = subject::adapter(&model)?;
    let mut optimizer = Optimizer::new(Options::default().rule, &parameters)?;
    let batches = subject::batches(model.decoder.vocab_size());
    for (i, ((loss, grad_norm), batch)) in wanted.zip(batches).enumerate() {
        round(|| {
            let mode = Mode::training(0);
            let result = step(&model.decoder, &parameters, &batch, mode, false)?;
            let mean = 1.0 / batch.trained_tokens as f64;
            near(i + 1, "loss", result.loss_sum * mean, loss)?;
            let gradients = &result.gradients;
            let norm = subject::norm(gradients.as_slice().iter().flatten())? * mean;
            near(i + 1, "gradient norm", norm, grad_norm)?;
            // As PyTorch clips.
            let scale = mean * (MAX_GRAD_NORM / (norm + 1e-6)).min(1.0);
            Ok::<_, Failure>(optimizer.step(&parameters, gradients, learning_rate, scale)?)
        })?;
    }
    Ok(())
}

/// Checks a number. Written so that a NaN fails.
fn near(step: usize, what: &'static str, got: f64, want: f64) -> Result<()> {
    if (got - want).abs() <= TOLERANCE * want {
        return Ok(());
    }
    Err(Failure::Number {
        step,
        what,
        got,
        want,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_dtype_train_as_in_pytorch() {
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            training(dtype, &Device::Cpu).unwrap();
        }
    }

    #[test]
    fn a_learning_rate_that_is_off_by_a_twentieth_is_seen() {
        let failure = run(DType::F32, &Device::Cpu, 1.05 * LEARNING_RATE).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.starts_with("step ") && text.contains(" instead of "),
            "{text}"
        );
    }

    #[test]
    fn a_number_that_is_none_fails() {
        assert!(near(1, "loss", 4.0, 4.0).is_ok());
        assert!(near(1, "loss", f64::NAN, 4.0).is_err());
        let text = near(3, "loss", 4.01, 4.0).unwrap_err().to_string();
        assert_eq!(
            text,
            "step 3: loss 4.01 instead of 4, off by 2.50e-3 of it, allowed is 1e-3"
        );
    }
}
