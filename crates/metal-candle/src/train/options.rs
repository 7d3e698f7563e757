use super::{Error, Result, Rule, Schedule};

/// Settings of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Number of optimizer steps that are taken after those the optimizer has taken already.
    pub iters: usize,
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of a step.
    pub grad_accumulation_steps: usize,
    /// Learning rate over the steps.
    pub schedule: Schedule,
    /// How parameters follow their gradients.
    pub rule: Rule,
    /// Gradients are scaled down to this global norm; 0 switches that off.
    pub max_grad_norm: f64,
    /// Compute blocks again in backward instead of keeping their graphs.
    pub grad_checkpoint: bool,
    /// Steps between reports.
    pub steps_per_report: usize,
    /// Steps between evaluations; 0 for none but the first and the last.
    pub steps_per_eval: usize,
    /// Batches of an evaluation; `None` is all.
    pub val_batches: Option<usize>,
    /// Steps between saves; 0 for none but the last.
    pub save_every: usize,
    /// Seed of the dropout masks.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            iters: 1000,
            batch_size: 4,
            grad_accumulation_steps: 1,
            schedule: Schedule::constant(1e-4),
            rule: Rule::default(),
            max_grad_norm: 1.0,
            grad_checkpoint: false,
            steps_per_report: 10,
            steps_per_eval: 200,
            val_batches: Some(25),
            save_every: 100,
            seed: 0,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        at_least_one("the number of iterations", self.iters)?;
        at_least_one("the batch size", self.batch_size)?;
        at_least_one("grad_accumulation_steps", self.grad_accumulation_steps)?;
        at_least_one("steps_per_report", self.steps_per_report)?;
        if self.max_grad_norm.is_nan() || self.max_grad_norm < 0.0 {
            return Err(Error::Setting {
                what: "max_grad_norm",
                expected: "0 (no clipping) or more",
                got: self.max_grad_norm.to_string(),
            });
        }
        self.schedule.check()
    }
}

fn at_least_one(what: &'static str, value: usize) -> Result<()> {
    match value {
        0 => Err(Error::Setting {
            what,
            expected: "at least 1",
            got: value.to_string(),
        }),
        _ => Ok(()),
    }
}
