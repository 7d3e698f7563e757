//! AdamW (Loshchilov, Hutter 2017, <https://arxiv.org/abs/1711.05101>), as PyTorch computes it.
//!
//! `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
//! `p = p (1 - lr weight_decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)`.
//!
//! All tensors are float32 and of the parameter's shape. The gradient is multiplied by
//! `gradient_scale` first: clipping and averaging cost no pass of their own. The parameter and its
//! moments are changed in place.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
mod factors;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

use crate::graph::path::{Devices, metal};
use crate::{Error, Result};
use candle_core::{DType, Storage, Tensor, Var};
use factors::Factors;
use std::collections::HashSet;

/// Update of parameters of one device, which have been checked.
type Step = fn(&Factors, &[Update<'_>]) -> Result<()>;

const DEVICES: Devices<Step> = Devices {
    cpu: Some(cpu::step),
    metal: metal!(metal::step),
    cuda: None,
};

/// Settings of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, as a fraction of `lr`.
    pub weight_decay: f64,
    /// Factor of every gradient: one over the number of tokens, times the clipping factor.
    pub gradient_scale: f64,
    /// Whether moments are divided by `1 - beta^t`; without it, steps are those of MLX's default.
    pub bias_correction: bool,
}

impl AdamW {
    /// What a moment of decay `beta` is divided by after `step` steps.
    fn correction(&self, beta: f64, step: usize) -> f64 {
        match self.bias_correction {
            true => 1.0 - beta.powf(step as f64),
            false => 1.0,
        }
    }
}

impl Default for AdamW {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            gradient_scale: 1.0,
            bias_correction: true,
        }
    }
}

/// The running averages of one parameter, changed in place.
#[derive(Debug)]
pub struct Moments {
    /// First moment `m`.
    pub first: Var,
    /// Second moment `v`.
    pub second: Var,
}

impl Moments {
    /// Zeros, as before the first step.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn zeros_like(parameter: &Tensor) -> Result<Self> {
        let zeros = || Var::zeros(parameter.shape(), parameter.dtype(), parameter.device());
        Ok(Self {
            first: zeros()?,
            second: zeros()?,
        })
    }
}

/// One parameter with its gradient and its state.
#[derive(Debug)]
pub struct Update<'a> {
    /// The parameter, changed in place.
    pub parameter: &'a Var,
    /// Gradient of the loss, before `gradient_scale`.
    pub gradient: &'a Tensor,
    /// State, changed in place.
    pub moments: &'a mut Moments,
}

/// Updates all parameters; `step` counts from 1.
///
/// # Errors
/// When a tensor is not float32, shapes differ, or a parameter or moment lies in the memory of
/// another tensor of the step; nothing is changed then.
pub fn step(settings: &AdamW, step: usize, updates: &mut [Update<'_>]) -> Result<()> {
    updates.iter().try_for_each(check)?;
    check_memory(updates)?;
    let factors = Factors::new(settings, step);
    let same_device = |a: &Update<'_>, b: &Update<'_>| {
        let (a, b) = (a.gradient.device(), b.gradient.device());
        a.same_device(b)
    };
    for updates in updates.chunk_by_mut(same_device) {
        let gradient = updates[0].gradient;
        match DEVICES.kernel("adamw", gradient, []) {
            Some(step) => step(&factors, updates)?,
            None => {
                for update in updates {
                    reference::update(settings, step, update)?;
                }
            }
        }
    }
    Ok(())
}

fn check(update: &Update<'_>) -> Result<()> {
    let shape = update.parameter.dims();
    let Moments { first, second } = &*update.moments;
    for (what, t) in [
        ("first moment", first.as_tensor()),
        ("second moment", second.as_tensor()),
        ("gradient", update.gradient),
    ] {
        if t.dims() != shape {
            return Err(Error::shape("adamw", what, format!("{shape:?}"), t));
        }
        if t.dtype() != DType::F32 {
            return Err(Error::DType {
                op: "adamw",
                what,
                expected: "F32",
                got: t.dtype(),
            });
        }
    }
    Ok(())
}

/// A step reads and writes at once: what it writes must be the memory of nothing else.
fn check_memory(updates: &[Update<'_>]) -> Result<()> {
    let mut written = HashSet::new();
    let shared = |what| Error::Value {
        op: "adamw",
        what,
        expected: "in memory of its own".into(),
        got: "that of another tensor".into(),
    };
    for update in updates {
        let Moments { first, second } = &*update.moments;
        let named = [("parameter", update.parameter), ("first moment", first)];
        for (what, var) in named.into_iter().chain([("second moment", second)]) {
            if !written.insert(memory(var)) {
                return Err(shared(what));
            }
        }
    }
    if updates
        .iter()
        .any(|u| written.contains(&memory(u.gradient)))
    {
        return Err(shared("gradient"));
    }
    Ok(())
}

/// The allocation of a tensor: one address for all its views.
fn memory(t: &Tensor) -> *const Storage {
    &raw const *t.storage_and_layout().0
}
