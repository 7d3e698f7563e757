//! Odds ratio preference optimization: Hong, Lee, Thorne 2024, <https://arxiv.org/abs/2403.07691>. Beside the loss of the
//! pair stands the negative log-likelihood of the preferred sequence; there is no reference.

use super::pair::{PairLoss, ScoredPair, sigmoid, softplus};
use crate::train::{Error, Result};

/// Largest mean log probability that is computed with: at 0 the odds are infinite.
const MOST_CERTAIN: f64 = -1e-12;

/// Settings of odds ratio preference optimization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orpo {
    /// Factor of the odds ratio's loss; the paper's lambda.
    pub beta: f64,
}

impl Default for Orpo {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

impl Orpo {
    /// `-beta ln sigmoid(ln odds(chosen) - ln odds(rejected))`, with `odds = p / (1 - p)` of the mean probability `p` of a
    /// token: `ln p` is the mean of the completion's log probabilities.
    #[must_use]
    pub fn loss(&self, policy: &ScoredPair) -> PairLoss {
        let [chosen, rejected] = [policy.chosen, policy.rejected].map(|completion| {
            (
                completion.mean().min(MOST_CERTAIN),
                completion.tokens as f64,
            )
        });
        let log_odds = log_odds(chosen.0) - log_odds(rejected.0);
        // ln odds has the slope 1 / (1 - p).
        let slope = -self.beta * sigmoid(-log_odds);
        PairLoss {
            loss: self.beta * softplus(-log_odds),
            dchosen: slope / -chosen.0.exp_m1() / chosen.1,
            drejected: -slope / -rejected.0.exp_m1() / rejected.1,
        }
    }

    /// `beta` times the mean log probability of each completion.
    pub(super) fn rewards(&self, policy: &ScoredPair) -> [f64; 2] {
        [&policy.chosen, &policy.rejected].map(|completion| self.beta * completion.mean())
    }

    pub(super) fn check(&self) -> Result<()> {
        check_beta(self.beta)
    }
}

/// `ln(p / (1 - p))` of `ln p`.
fn log_odds(log_p: f64) -> f64 {
    log_p - (-log_p.exp_m1()).ln()
}

pub(super) fn check_beta(beta: f64) -> Result<()> {
    match beta > 0.0 && beta.is_finite() {
        true => Ok(()),
        false => Err(Error::Setting {
            what: "beta",
            expected: "more than 0",
            got: beta.to_string(),
        }),
    }
}
