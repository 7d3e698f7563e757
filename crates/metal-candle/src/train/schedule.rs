use super::{Error, Result};
use std::f64::consts::PI;

/// Course of the learning rate after the warm-up; steps are counted from 0 there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// None.
    Constant,
    /// A straight line to `end`, which step `steps`, counted from 0, has first, and all later ones.
    Linear {
        /// Learning rate at the end.
        end: f64,
        /// Steps above it.
        steps: usize,
    },
    /// Half a cosine to `end`, which step `steps`, counted from 0, has first, and all later ones (Loshchilov, Hutter 2016,
    /// arXiv 1608.03983).
    Cosine {
        /// Learning rate at the end.
        end: f64,
        /// Steps above it.
        steps: usize,
    },
    /// A factor for every step.
    Exponential {
        /// The factor.
        factor: f64,
    },
    /// A factor every few steps.
    Steps {
        /// The factor.
        factor: f64,
        /// Steps between.
        every: usize,
    },
}

impl Decay {
    /// Its name in the field.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear { .. } => "linear",
            Self::Cosine { .. } => "cosine",
            Self::Exponential { .. } => "exponential",
            Self::Steps { .. } => "step",
        }
    }

    /// Course to its end after `steps` steps, where it has an end.
    #[must_use]
    pub fn over(self, steps: usize) -> Self {
        match self {
            Self::Linear { end, .. } => Self::Linear { end, steps },
            Self::Cosine { end, .. } => Self::Cosine { end, steps },
            other => other,
        }
    }
}

/// Rise of the learning rate in a straight line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Warmup {
    /// Learning rate of the first step.
    pub from: f64,
    /// Steps to the peak.
    pub rise: usize,
    /// Steps before the decay begins: `rise`, or more to stay at the peak for some.
    pub steps: usize,
}

impl Warmup {
    /// Rise in equal parts, of which the first step has one and the step after `steps` all.
    #[must_use]
    pub fn over(steps: usize, peak: f64) -> Self {
        Self {
            from: peak / (steps + 1) as f64,
            rise: steps,
            steps,
        }
    }
}

/// Learning rate of every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Learning rate after the warm-up.
    pub peak: f64,
    /// How it comes there.
    pub warmup: Warmup,
    /// What comes then.
    pub decay: Decay,
}

impl Schedule {
    /// One learning rate for all steps.
    #[must_use]
    pub fn constant(peak: f64) -> Self {
        Self {
            peak,
            warmup: Warmup::over(0, peak),
            decay: Decay::Constant,
        }
    }

    /// Learning rate of `step`, counted from 1.
    #[must_use]
    pub fn learning_rate(&self, step: usize) -> f64 {
        let Warmup { from, rise, steps } = self.warmup;
        let before = step.saturating_sub(1);
        if before < steps {
            let risen = (before as f64 / rise.max(1) as f64).min(1.0);
            return from + (self.peak - from) * risen;
        }
        self.decayed(before - steps)
    }

    /// Learning rate `done` steps after the warm-up.
    fn decayed(&self, done: usize) -> f64 {
        let share = |steps: usize| (done as f64 / steps.max(1) as f64).min(1.0);
        match self.decay {
            Decay::Constant => self.peak,
            Decay::Linear { end, steps } => self.peak + (end - self.peak) * share(steps),
            Decay::Cosine { end, steps } => {
                end + (self.peak - end) * 0.5 * (1.0 + (PI * share(steps)).cos())
            }
            Decay::Exponential { factor } => self.peak * factor.powf(done as f64),
            Decay::Steps { factor, every } => self.peak * factor.powf((done / every.max(1)) as f64),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let is_right = |rate: f64| rate.is_finite() && rate >= 0.0;
        let rates = match self.decay {
            Decay::Constant => vec![],
            Decay::Linear { end, .. } | Decay::Cosine { end, .. } => vec![end],
            Decay::Exponential { factor } | Decay::Steps { factor, .. } => vec![factor],
        };
        let mut rates = [self.peak, self.warmup.from].into_iter().chain(rates);
        match rates.find(|rate| !is_right(*rate)) {
            None => Ok(()),
            Some(rate) => Err(Error::Setting {
                what: "the learning rate",
                expected: "a finite number, not negative",
                got: rate.to_string(),
            }),
        }
    }
}
