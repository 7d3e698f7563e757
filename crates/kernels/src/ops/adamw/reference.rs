//! The definition, one parameter at a time.

use super::{AdamW, Moments, Update};
use crate::Result;
use candle_core::Tensor;

pub(super) fn update(settings: &AdamW, step: usize, update: &mut Update<'_>) -> Result<()> {
    let AdamW {
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        gradient_scale,
        ..
    } = *settings;
    let gradient = (update.gradient * gradient_scale)?;
    let Moments { first, second } = &*update.moments;
    let (m, v) = (first.as_detached_tensor(), second.as_detached_tensor());
    let m = ((m * beta1)? + (&gradient * (1.0 - beta1))?)?;
    let v = ((v * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
    let correct = |moment: &Tensor, beta| moment * (1.0 / settings.correction(beta, step));
    let denominator = (correct(&v, beta2)?.sqrt()? + eps)?;
    let direction = (correct(&m, beta1)? / denominator)?;
    let parameter = update.parameter.as_tensor().detach();
    let decayed = (parameter * (1.0 - lr * weight_decay))?;
    update.parameter.set(&(decayed - (direction * lr)?)?)?;
    first.set(&m)?;
    second.set(&v)?;
    Ok(())
}
