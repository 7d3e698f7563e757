use serde::{Deserialize, Serialize};

/// Lowest validation loss of a run so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// After this step.
    pub step: usize,
    /// Nats per token.
    pub val_loss: f64,
}

/// Rule by which a run ends before its last step, that of transformers' `EarlyStoppingCallback`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// Evaluations in a row without an improvement that end the run.
    pub patience: usize,
    /// Decrease of the lowest validation loss that is none yet.
    pub threshold: f64,
}

/// Validation losses as a run goes on. The one before the first step is not among them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub(super) best: Option<Best>,
    /// The last of them.
    last: Option<Best>,
    /// Evaluations since the last improvement.
    n_without: usize,
}

/// Place where a run is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Stand {
    /// Optimizer steps taken.
    pub(super) step: usize,
    /// Validation loss after them, where it was looked at.
    pub(super) val_loss: Option<f64>,
    /// Evaluations since the last improvement.
    pub(super) n_without: usize,
}

impl Watch {
    /// Losses that an earlier part of the run has seen: the lowest, and evaluations since the last improvement.
    pub(super) fn after(best: Option<Best>, n_without: usize) -> Self {
        Self {
            best,
            n_without,
            ..Self::default()
        }
    }

    /// What is kept of the losses where a run is saved after `step`.
    pub(super) fn stand(&self, step: usize) -> Stand {
        let last = self.last.filter(|last| last.step == step);
        Stand {
            step,
            val_loss: last.map(|last| last.val_loss),
            n_without: self.n_without,
        }
    }

    /// Takes a loss into account.
    pub(super) fn see(&mut self, seen: Best, threshold: f64) {
        let lower_by = self.best.map(|best| best.val_loss - seen.val_loss);
        self.n_without = match lower_by.is_none_or(|lower| lower > threshold) {
            true => 0,
            false => self.n_without + 1,
        };
        if lower_by.is_none_or(|lower| lower > 0.0) {
            self.best = Some(seen);
        }
        self.last = Some(seen);
    }

    /// Whether `rule` ends the run now.
    pub(super) fn is_enough(&self, rule: Option<EarlyStopping>) -> bool {
        rule.is_some_and(|rule| self.n_without >= rule.patience.max(1))
    }

    /// Whether the loss after `step` is the lowest.
    pub(super) fn is_best(&self, step: usize) -> bool {
        self.best.is_some_and(|best| best.step == step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course of losses, and what transformers' callback makes of it (`scripts/golden/early_stopping.py`).
    #[derive(Deserialize)]
    struct Case {
        losses: Vec<f64>,
        patience: usize,
        threshold: f64,
        /// Number of losses that were seen when the run ended; `None` where it did not.
        ends_after: Option<usize>,
        best: usize,
    }

    #[test]
    fn runs_end_where_those_of_transformers_do() {
        let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let path = root.join("tests/golden/early_stopping/cases.json");
        let text = std::fs::read_to_string(path).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&text).unwrap();
        assert!(cases.len() > 20 && cases.iter().any(|case| case.ends_after.is_none()));
        for case in cases {
            let rule = EarlyStopping {
                patience: case.patience,
                threshold: case.threshold,
            };
            let mut watch = Watch::default();
            let ends = case.losses.iter().zip(1..).find(|&(&val_loss, step)| {
                watch.see(Best { step, val_loss }, rule.threshold);
                watch.is_enough(Some(rule))
            });
            assert_eq!(
                ends.map(|(_, step)| step),
                case.ends_after,
                "{:?}",
                case.losses
            );
            assert!(watch.is_best(case.best), "{:?}: {watch:?}", case.losses);
            assert!(!watch.is_enough(None));
        }
    }
}
