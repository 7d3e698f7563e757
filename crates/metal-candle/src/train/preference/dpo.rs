//! Direct preference optimization: Rafailov et al. 2023, <https://arxiv.org/abs/2305.18290>. The reference is the model
//! without its adapter.

use super::pair::{Completion, PairLoss, ScoredPair, sigmoid, softplus};
use crate::train::{Error, Result};

/// Settings of direct preference optimization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dpo {
    /// Factor of the log ratios: the larger, the nearer the model stays to the reference. Of [`DpoLoss::Ipo`] it is
    /// the paper's tau.
    pub beta: f64,
    /// Probability that the completions of a pair are swapped; below one half.
    pub label_smoothing: f64,
    /// Loss of a pair.
    pub loss_type: DpoLoss,
}

/// Loss of a pair, by TRL's names. With `m` the margin `beta (log ratio of the better completion - log ratio of the worse
/// one)`, log ratios being those of the policy and the reference:
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DpoLoss {
    /// `-(1 - s) ln sigmoid(m) - s ln sigmoid(-m)`, `s` being the label smoothing (conservative DPO: Mitchell 2023).
    #[default]
    Sigmoid,
    /// `(-(1 - s) ln sigmoid(m) + s ln sigmoid(-m)) / (1 - 2 s)`: Chowdhury, Kini, Natarajan 2024,
    /// <https://arxiv.org/abs/2403.00409>.
    Robust,
    /// `max(0, 1 - m)`: Zhao et al. 2023, <https://arxiv.org/abs/2305.10425>.
    Hinge,
    /// `(r - 1 / (2 beta))^2`, `r` being the difference of the log ratios per token: Azar et al. 2023,
    /// <https://arxiv.org/abs/2310.12036>.
    Ipo,
}

impl Default for Dpo {
    fn default() -> Self {
        Self {
            beta: 0.1,
            label_smoothing: 0.0,
            loss_type: DpoLoss::Sigmoid,
        }
    }
}

impl DpoLoss {
    /// Name of the loss in TRL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Robust => "robust",
            Self::Hinge => "hinge",
            Self::Ipo => "ipo",
        }
    }

    fn takes_smoothing(self) -> bool {
        matches!(self, Self::Sigmoid | Self::Robust)
    }
}

impl Dpo {
    /// Loss of a pair.
    #[must_use]
    pub fn loss(&self, policy: &ScoredPair, reference: &ScoredPair) -> PairLoss {
        let chosen = log_ratio(&policy.chosen, &reference.chosen);
        let rejected = log_ratio(&policy.rejected, &reference.rejected);
        if self.loss_type == DpoLoss::Ipo {
            let lengths = [policy.chosen, policy.rejected].map(|c| c.tokens as f64);
            return self.ipo([chosen, rejected], lengths);
        }
        let (loss, slope) = self.of_margin(self.beta * (chosen - rejected));
        PairLoss {
            loss,
            dchosen: self.beta * slope,
            drejected: -self.beta * slope,
        }
    }

    /// Loss of a margin, and its derivative.
    fn of_margin(&self, margin: f64) -> (f64, f64) {
        let s = self.label_smoothing;
        let right = (softplus(-margin), -sigmoid(-margin));
        let swapped = (softplus(margin), sigmoid(margin));
        let mixed = |a: f64, b: f64| (a * right.0 + b * swapped.0, a * right.1 + b * swapped.1);
        match self.loss_type {
            DpoLoss::Hinge if margin < 1.0 => (1.0 - margin, -1.0),
            DpoLoss::Hinge => (0.0, 0.0),
            DpoLoss::Robust => mixed((1.0 - s) / (1.0 - 2.0 * s), -s / (1.0 - 2.0 * s)),
            DpoLoss::Sigmoid | DpoLoss::Ipo => mixed(1.0 - s, s),
        }
    }

    fn ipo(&self, [chosen, rejected]: [f64; 2], [n_chosen, n_rejected]: [f64; 2]) -> PairLoss {
        let distance = chosen / n_chosen - rejected / n_rejected - 0.5 / self.beta;
        PairLoss {
            loss: distance * distance,
            dchosen: 2.0 * distance / n_chosen,
            drejected: -2.0 * distance / n_rejected,
        }
    }

    /// `beta` times the log ratio of each completion.
    pub(super) fn rewards(&self, policy: &ScoredPair, reference: &ScoredPair) -> [f64; 2] {
        let chosen = log_ratio(&policy.chosen, &reference.chosen);
        let rejected = log_ratio(&policy.rejected, &reference.rejected);
        [self.beta * chosen, self.beta * rejected]
    }

    pub(super) fn check(&self) -> Result<()> {
        super::orpo::check_beta(self.beta)?;
        let (s, loss) = (self.label_smoothing, self.loss_type);
        let expected = match loss.takes_smoothing() {
            true if (0.0..0.5).contains(&s) => return Ok(()),
            true => "0 or more and less than 0.5",
            false if s == 0.0 => return Ok(()),
            false => "0 with the losses hinge and ipo",
        };
        Err(Error::Setting {
            what: "label_smoothing",
            expected,
            got: s.to_string(),
        })
    }
}

fn log_ratio(policy: &Completion, reference: &Completion) -> f64 {
    policy.log_prob - reference.log_prob
}
