use super::{EarlyStopping, Error, Objective, Result, Rule, Schedule};

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
    /// Loss that is made small.
    pub objective: Objective,
    /// Share of each micro-batch in the loss and the gradient of a step.
    pub weighting: Weighting,
    /// How parameters follow their gradients.
    pub rule: Rule,
    /// Gradients are scaled down to this global norm; 0 switches that off.
    pub max_grad_norm: f64,
    /// Strength of the noise that embeddings get while training (NEFTune); 0 for none.
    pub neftune_noise_alpha: f64,
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
    /// Most checkpoints that stay, the newest and, with `keep_best`, the best always among them; `None` for all.
    pub save_total_limit: Option<usize>,
    /// Whether what gave the lowest validation loss is what the run leaves; it is saved when it is found.
    pub keep_best: bool,
    /// When the run ends before its last step.
    pub early_stopping: Option<EarlyStopping>,
    /// Seed of the dropout masks.
    pub seed: u64,
}

/// Share of a micro-batch in the loss and the gradient of a step, and of a step in a reported loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighting {
    /// Number of its trained tokens: every split of a batch into micro-batches gives the same step.
    #[default]
    Tokens,
    /// One for all, whatever their tokens: a step has the mean of their means, as in mlx-lm.
    MicroBatches,
}

impl Weighting {
    /// Factor of the sums over a micro-batch of `tokens` trained tokens.
    pub(super) fn factor(self, tokens: usize) -> f64 {
        match self {
            Self::Tokens => 1.0,
            Self::MicroBatches => 1.0 / tokens as f64,
        }
    }

    /// Divisor of the sums over a step of `n` micro-batches with `tokens` trained tokens.
    pub(super) fn divisor(self, n: usize, tokens: usize) -> f64 {
        match self {
            Self::Tokens => tokens as f64,
            Self::MicroBatches => n as f64,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            iters: 1000,
            batch_size: 4,
            grad_accumulation_steps: 1,
            schedule: Schedule::constant(1e-4),
            objective: Objective::default(),
            weighting: Weighting::Tokens,
            rule: Rule::default(),
            max_grad_norm: 1.0,
            neftune_noise_alpha: 0.0,
            grad_checkpoint: false,
            steps_per_report: 10,
            steps_per_eval: 200,
            val_batches: Some(25),
            save_every: 100,
            save_total_limit: None,
            keep_best: false,
            early_stopping: None,
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
        at_least_one("save_total_limit", self.save_total_limit.unwrap_or(1))?;
        if self.objective != Objective::Likelihood && self.weighting != Weighting::Tokens {
            return Err(Error::Setting {
                what: "the weighting of pairs",
                expected: "one for all of a step",
                got: "one for each micro-batch".into(),
            });
        }
        if !self.neftune_noise_alpha.is_finite() || self.neftune_noise_alpha < 0.0 {
            return Err(Error::Setting {
                what: "neftune_noise_alpha",
                expected: "0 (no noise) or more",
                got: self.neftune_noise_alpha.to_string(),
            });
        }
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

impl Options {
    /// Refuses to follow a validation loss that nothing measures, and to keep what is saved nowhere.
    pub(super) fn check_followed(&self, validates: bool, saves: bool) -> Result<()> {
        let refused = |expected| {
            Err(Error::Setting {
                what: "early stopping, or the best checkpoint,",
                expected,
                got: "none".into(),
            })
        };
        let is_followed = self.keep_best || self.early_stopping.is_some();
        match (is_followed, self.keep_best) {
            (true, _) if !validates || self.val_batches == Some(0) => {
                refused("given rows to validate on")
            }
            (_, true) if !saves => refused("given a folder to save in"),
            _ => Ok(()),
        }
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
