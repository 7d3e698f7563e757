use super::super::Result;
use super::rule::{Now, Slot, Steps, Update, check, check_decay, check_share};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Coefficients of an iteration (Jordan 2024, <https://kellerjordan.github.io/posts/muon/>).
const NEWTON_SCHULZ: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);

/// Momentum whose matrices are made orthogonal by Newton-Schulz iterations, as MLX computes it; what
/// is no matrix follows its momentum.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Muon {
    /// Share of the momentum that is kept.
    pub momentum: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// Whether the gradient is followed from where momentum leads.
    pub nesterov: bool,
    /// Iterations.
    pub ns_steps: usize,
    /// Whether matrices are stored as MLX stores those of adapters, `(in, out)`: longer steps are for those of more columns
    /// than rows, and not the other way about.
    pub transposed: bool,
}

impl Default for Muon {
    /// MLX's.
    fn default() -> Self {
        Self {
            momentum: 0.95,
            weight_decay: 0.01,
            nesterov: true,
            ns_steps: 5,
            transposed: false,
        }
    }
}

impl Steps for Muon {
    fn name(&self) -> &'static str {
        "muon"
    }

    fn check(&self) -> Result<()> {
        check_share("momentum", self.momentum)?;
        let is_right = (1..=100).contains(&self.ns_steps);
        check("ns_steps", self.ns_steps as f64, "1 to 100", is_right)?;
        check_decay(self.weight_decay)
    }

    fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        vec![Slot::mean("velocity", dims)]
    }

    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        for update in updates {
            let (direction, factor) = match self.direction(now, update)? {
                matrix if matrix.rank() == 2 => {
                    let (rows, columns) = match (matrix.dims2()?, self.transposed) {
                        (dims, false) => dims,
                        ((rows, columns), true) => (columns, rows),
                    };
                    let factor = (rows as f64 / columns as f64).max(1.0).sqrt();
                    (orthogonal(&matrix, self.ns_steps)?, factor)
                }
                other => (other, 1.0),
            };
            let step = (direction * (now.learning_rate * factor))?;
            update.parameter.set(&(update.parameter.detach() - step)?)?;
        }
        Ok(())
    }
}

impl Muon {
    /// Momentum, which takes the gradient in.
    fn direction(&self, now: &Now, update: &Update<'_>) -> Result<Tensor> {
        let velocity = &update.state[0];
        let share = (update.gradient(now, self.weight_decay)? * (1.0 - self.momentum))?;
        velocity.set(&((velocity.detach() * self.momentum)? + &share)?)?;
        match self.nesterov {
            true => Ok((share + (velocity.detach() * self.momentum)?)?),
            false => Ok(velocity.detach()),
        }
    }
}

/// The matrix with singular values of about one. `(R, C)`.
fn orthogonal(matrix: &Tensor, steps: usize) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let is_tall = rows > columns;
    let mut x = match is_tall {
        true => matrix.t()?.contiguous()?,
        false => matrix.clone(),
    };
    let norm = (x.sqr()?.sum_all()?.sqrt()? + 1e-7)?;
    x = x.broadcast_div(&norm)?;
    let (a, b, c) = NEWTON_SCHULZ;
    for _ in 0..steps {
        let gram = x.matmul(&x.t()?)?;
        let polynomial = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + polynomial.matmul(&x)?)?;
    }
    match is_tall {
        true => Ok(x.t()?.contiguous()?),
        false => Ok(x),
    }
}
