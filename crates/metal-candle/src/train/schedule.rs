use super::{Error, Result};
use std::f64::consts::PI;

/// Course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// No decay.
    Constant,
    /// Along a straight line to `end` at the last step.
    Linear {
        /// Learning rate at the last step.
        end: f64,
    },
    /// Along half a cosine to `end` at the last step (Loshchilov, Hutter 2016, arXiv 1608.03983).
    Cosine {
        /// Learning rate at the last step.
        end: f64,
    },
}

/// Learning rate of every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate after the warm-up.
    pub peak: f64,
    /// Steps over which it rises in a straight line from `peak / (warmup_steps + 1)`.
    pub warmup_steps: usize,
    /// What comes then.
    pub decay: Decay,
    /// Number of steps, those of the runs that this one goes on from included.
    pub total_steps: usize,
}

impl Schedule {
    /// Learning rate of `step`, counted from 1.
    #[must_use]
    pub fn learning_rate(&self, step: usize) -> f64 {
        if step <= self.warmup_steps {
            return self.peak * step as f64 / (self.warmup_steps + 1) as f64;
        }
        let done = (step - self.warmup_steps - 1) as f64;
        let span = self
            .total_steps
            .saturating_sub(self.warmup_steps + 1)
            .max(1) as f64;
        let progress = (done / span).min(1.0);
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Linear { end } => self.peak * (1.0 - progress) + end * progress,
            Decay::Cosine { end } => end + (self.peak - end) * 0.5 * (1.0 + (PI * progress).cos()),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self.peak.is_finite() && self.peak >= 0.0 {
            true => Ok(()),
            false => Err(Error::Setting {
                what: "the learning rate",
                expected: "a finite number, not negative",
                got: self.peak.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_warm_up_and_fall() {
        let schedule = |decay| Schedule {
            peak: 1.0,
            warmup_steps: 4,
            decay,
            total_steps: 14,
        };
        let rates = |decay| -> Vec<f64> {
            let schedule = schedule(decay);
            [1, 4, 5, 14, 20]
                .map(|step| schedule.learning_rate(step))
                .to_vec()
        };
        assert_eq!(rates(Decay::Constant), [0.2, 0.8, 1.0, 1.0, 1.0]);
        assert_eq!(rates(Decay::Linear { end: 0.1 }), [0.2, 0.8, 1.0, 0.1, 0.1]);
        assert_eq!(rates(Decay::Cosine { end: 0.1 }), [0.2, 0.8, 1.0, 0.1, 0.1]);
        let middle = schedule(Decay::Cosine { end: 0.0 }).learning_rate(8);
        assert!(
            (middle - 0.75).abs() < 1e-12,
            "a third of the way down: {middle}"
        );
    }
}
