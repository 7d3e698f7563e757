use super::super::Result;
use super::rule::{Now, Slot, Steps, Update, check, check_decay, check_share};
use candle_core::{D, Tensor, Var};
use serde::{Deserialize, Serialize};

/// Adafactor (Shazeer, Stern 2018, arXiv 1804.04235), as MLX computes it: of a matrix, the means of
/// squares of its rows and columns are kept instead of one for each element.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adafactor {
    /// Added to squares of gradients, and the least size of a parameter that scales its step.
    pub eps: (f64, f64),
    /// Root mean square that a step is scaled down to.
    pub clip_threshold: f64,
    /// Exponent with which the means forget: `beta_2 = 1 - step^decay_rate`.
    pub decay_rate: f64,
    /// Decay rate of a mean of steps; `None` keeps none.
    pub beta_1: Option<f64>,
    /// Share of a parameter, times the learning rate, that each step takes away.
    pub weight_decay: f64,
    /// Whether steps are relative to a parameter's root mean square.
    pub scale_parameter: bool,
    /// Whether `1 / sqrt(step)`, at most 0.01, stands for the learning rate.
    pub relative_step: bool,
    /// Whether that one begins at `1e-6` and rises by it.
    pub warmup_init: bool,
}

impl Default for Adafactor {
    /// The paper's means with a learning rate of one's own, as people fine-tune with it.
    fn default() -> Self {
        Self {
            eps: (1e-30, 1e-3),
            clip_threshold: 1.0,
            decay_rate: -0.8,
            beta_1: None,
            weight_decay: 0.0,
            scale_parameter: false,
            relative_step: false,
            warmup_init: false,
        }
    }
}

impl Steps for Adafactor {
    fn name(&self) -> &'static str {
        "adafactor"
    }

    fn check(&self) -> Result<()> {
        let above_zero = |what, x: f64| check(what, x, "more than 0", x > 0.0);
        above_zero("the first of eps", self.eps.0)?;
        above_zero("the second of eps", self.eps.1)?;
        above_zero("clip_threshold", self.clip_threshold)?;
        check(
            "decay_rate",
            self.decay_rate,
            "below 0",
            self.decay_rate < 0.0,
        )?;
        check_share("beta_1", self.beta_1.unwrap_or(0.0))?;
        check_decay(self.weight_decay)
    }

    fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        let mut slots = match dims {
            [before @ .., rows, columns] => vec![
                Slot::squares("rows", &[before, &[*rows]].concat()),
                Slot::squares("columns", &[before, &[*columns]].concat()),
            ],
            _ => vec![Slot::squares("second", dims)],
        };
        if self.beta_1.is_some() {
            slots.push(Slot::mean("first", dims));
        }
        slots
    }

    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        updates
            .iter()
            .try_for_each(|update| self.update(now, update))
    }
}

impl Adafactor {
    fn update(&self, now: &Now, update: &Update<'_>) -> Result<()> {
        let parameter = update.parameter.detach();
        let rate = self.rate(now, &parameter)?;
        let mut step = (self.direction(now, update)? * rate)?;
        if let (Some(beta), Some(mean)) = (self.beta_1, update.state.last()) {
            step = blend(mean, beta, &step)?;
        }
        let kept = (parameter * (1.0 - self.weight_decay * now.decay * rate))?;
        Ok(update.parameter.set(&(kept - step)?)?)
    }

    fn rate(&self, now: &Now, parameter: &Tensor) -> Result<f64> {
        let step = now.step as f64;
        let most = if self.warmup_init { 1e-6 * step } else { 1e-2 };
        let rate = match self.relative_step {
            true => step.sqrt().recip().min(most),
            false => now.learning_rate,
        };
        match self.scale_parameter {
            true => Ok(rate * root_mean_square(parameter)?.max(self.eps.1)),
            false => Ok(rate),
        }
    }

    /// The gradient over the root of its mean square, clipped.
    fn direction(&self, now: &Now, update: &Update<'_>) -> Result<Tensor> {
        let gradient = update.gradient(now, 0.0)?;
        let squares = (gradient.sqr()? + self.eps.0)?;
        let beta = 1.0 - (now.step as f64).powf(self.decay_rate);
        let scaled = match (gradient.rank(), update.state) {
            (2.., [rows, columns, ..]) => {
                let rows = blend(rows, beta, &squares.mean(D::Minus1)?)?;
                let columns = blend(columns, beta, &squares.mean(D::Minus2)?)?;
                let rows = rows.broadcast_div(&rows.mean_keepdim(D::Minus1)?)?;
                let roots = [rows.sqrt()?.unsqueeze(D::Minus1)?, columns.sqrt()?];
                let by_row = gradient.broadcast_div(&roots[0])?;
                by_row.broadcast_div(&roots[1].unsqueeze(D::Minus2)?)?
            }
            _ => (gradient / blend(&update.state[0], beta, &squares)?.sqrt()?)?,
        };
        let size = root_mean_square(&scaled)?;
        Ok((&scaled / (size / self.clip_threshold).max(1.0))?)
    }
}

/// `mean = beta mean + (1 - beta) new`, in place.
fn blend(mean: &Var, beta: f64, new: &Tensor) -> Result<Tensor> {
    let blended = ((mean.detach() * beta)? + (new * (1.0 - beta))?)?;
    mean.set(&blended)?;
    Ok(blended)
}

fn root_mean_square(tensor: &Tensor) -> Result<f64> {
    let mean = tensor.sqr()?.mean_all()?.to_scalar::<f32>()?;
    Ok(f64::from(mean).sqrt())
}
