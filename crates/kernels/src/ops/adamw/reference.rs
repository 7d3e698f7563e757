//! The definition, one parameter at a time.

use super::{AdamW, Moments, Update};
use crate::Result;

pub(super) fn update(settings: &AdamW, step: usize, update: &mut Update<'_>) -> Result<()> {
    let AdamW {
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        gradient_scale,
    } = *settings;
    let gradient = (update.gradient * gradient_scale)?;
    let Moments { first, second } = &*update.moments;
    let (m, v) = (first.as_detached_tensor(), second.as_detached_tensor());
    let m = ((m * beta1)? + (&gradient * (1.0 - beta1))?)?;
    let v = ((v * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
    let correction1 = 1.0 - beta1.powi(step as i32);
    let correction2 = 1.0 - beta2.powi(step as i32);
    let denominator = ((&v * (1.0 / correction2))?.sqrt()? + eps)?;
    let direction = ((&m * (1.0 / correction1))? / denominator)?;
    let parameter = update.parameter.as_tensor().detach();
    let decayed = (parameter * (1.0 - lr * weight_decay))?;
    update.parameter.set(&(decayed - (direction * lr)?)?)?;
    first.set(&m)?;
    second.set(&v)?;
    Ok(())
}
