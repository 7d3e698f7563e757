use super::super::{Error, Result};
use super::rule::{Now, Slot, Steps, Update, check_decay, check_share};
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent with momentum, as MLX computes it and, without dampening, PyTorch:
/// `v = momentum v + (1 - dampening) g`, `p = p - lr v`, or `p - lr (g + momentum v)` of Nesterov.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sgd {
    /// Share of the last step that is kept; 0 keeps nothing.
    pub momentum: f64,
    /// Share of the gradient that momentum does not take in.
    pub dampening: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// Whether the gradient is followed from where momentum leads.
    pub nesterov: bool,
}

impl Steps for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn check(&self) -> Result<()> {
        check_share("momentum", self.momentum)?;
        check_share("dampening", self.dampening)?;
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            return Err(Error::Setting {
                what: "nesterov",
                expected: "with momentum and without dampening",
                got: format!("momentum {}, dampening {}", self.momentum, self.dampening),
            });
        }
        check_decay(self.weight_decay)
    }

    fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        match self.momentum == 0.0 {
            true => vec![],
            false => vec![Slot::mean("velocity", dims)],
        }
    }

    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        for update in updates {
            let gradient = update.gradient(now, self.weight_decay)?;
            let direction = match update.state {
                [] => gradient,
                [velocity, ..] => {
                    let kept = (velocity.detach() * self.momentum)?;
                    velocity.set(&(kept + (&gradient * (1.0 - self.dampening))?)?)?;
                    match self.nesterov {
                        true => (gradient + (velocity.detach() * self.momentum)?)?,
                        false => velocity.detach(),
                    }
                }
            };
            let parameter = update.parameter.detach();
            let parameter = (parameter - (direction * now.learning_rate)?)?;
            update.parameter.set(&parameter)?;
        }
        Ok(())
    }
}
