use super::super::Result;
use super::rule::{Now, Slot, Steps, Update, check, check_decay, check_share};
use metal_candle_kernels::adamw::{self, Moments};
use serde::{Deserialize, Serialize};

/// Adam (Kingma, Ba 2014, arXiv 1412.6980) with decoupled weight decay (AdamW: Loshchilov, Hutter
/// 2017, arXiv 1711.05101); without decay it is Adam.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adam {
    /// Decay rates of the first and second moment.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Share of a parameter, times the learning rate, that each step takes away.
    pub weight_decay: f64,
    /// Whether the moments of the first steps are scaled up to those of many, as PyTorch does and
    /// MLX does not.
    pub bias_correction: bool,
}

impl Default for Adam {
    /// PyTorch's AdamW.
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.01,
            bias_correction: true,
        }
    }
}

impl Steps for Adam {
    fn name(&self) -> &'static str {
        match self.weight_decay == 0.0 {
            true => "adam",
            false => "adamw",
        }
    }

    fn check(&self) -> Result<()> {
        check_share("the first of betas", self.betas.0)?;
        check_share("the second of betas", self.betas.1)?;
        check("eps", self.eps, "more than 0", self.eps > 0.0)?;
        check_decay(self.weight_decay)
    }

    fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        vec![Slot::mean("first", dims), Slot::squares("second", dims)]
    }

    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        let settings = adamw::AdamW {
            lr: now.learning_rate,
            beta1: self.betas.0,
            beta2: self.betas.1,
            eps: self.eps,
            weight_decay: self.weight_decay * now.decay,
            gradient_scale: now.gradient_scale,
            bias_correction: self.bias_correction,
        };
        let moments = |update: &Update<'_>| Moments {
            first: update.state[0].clone(),
            second: update.state[1].clone(),
        };
        let mut moments: Vec<Moments> = updates.iter().map(moments).collect();
        let with_moments = updates.iter().zip(&mut moments);
        let mut updates: Vec<_> = with_moments
            .map(|(update, moments)| adamw::Update {
                parameter: update.parameter,
                gradient: update.gradient,
                moments,
            })
            .collect();
        Ok(adamw::step(&settings, now.step, &mut updates)?)
    }
}
