use serde::Serialize;

/// Sums over pairs; none where no pairs are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairSums {
    pub(super) pairs: f64,
    pub(super) rewards: [f64; 2],
    /// Pairs whose better completion has the larger reward.
    pub(super) accurate: f64,
    pub(super) log_probs: [f64; 2],
    /// Negative log-likelihood of the preferred sequences, where it is part of the loss, and its tokens.
    pub(super) nll: f64,
    pub(super) nll_tokens: f64,
}

/// Numbers of [`PairSums`].
pub(in crate::train) const N_SUMS: usize = 8;

/// Means over pairs, by TRL's names.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairMetrics {
    /// Reward of the better completion.
    #[serde(rename = "rewards/chosen")]
    pub chosen: f64,
    /// Reward of the worse completion.
    #[serde(rename = "rewards/rejected")]
    pub rejected: f64,
    /// Share of the pairs whose better completion has the larger reward.
    #[serde(rename = "rewards/accuracies")]
    pub accuracy: f64,
    /// Reward of the better completion over that of the worse one.
    #[serde(rename = "rewards/margins")]
    pub margin: f64,
    /// Log probability of the better completion: its sum, or for ORPO its mean per token.
    #[serde(rename = "logps/chosen")]
    pub chosen_log_prob: f64,
    /// Log probability of the worse completion.
    #[serde(rename = "logps/rejected")]
    pub rejected_log_prob: f64,
    /// Negative log-likelihood per token of the preferred sequences, where it is part of the loss.
    #[serde(rename = "nll_loss", skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
}

impl PairSums {
    /// Number of pairs.
    pub(in crate::train) fn count(&self) -> usize {
        self.pairs as usize
    }

    /// Sums of both.
    #[must_use]
    pub(in crate::train) fn plus(&self, other: &Self) -> Self {
        let (a, b) = (self.to_array(), other.to_array());
        Self::from_array(std::array::from_fn(|i| a[i] + b[i]))
    }

    /// Means; `None` of no pairs.
    pub(in crate::train) fn means(&self) -> Option<PairMetrics> {
        let mean = |sum: f64| sum / self.pairs;
        let [chosen, rejected] = self.rewards.map(mean);
        let [chosen_log_prob, rejected_log_prob] = self.log_probs.map(mean);
        (self.pairs > 0.0).then(|| PairMetrics {
            chosen,
            rejected,
            accuracy: mean(self.accurate),
            margin: chosen - rejected,
            chosen_log_prob,
            rejected_log_prob,
            nll: (self.nll_tokens > 0.0).then(|| self.nll / self.nll_tokens),
        })
    }

    pub(in crate::train) fn to_array(self) -> [f64; N_SUMS] {
        let ([a, b], [c, d]) = (self.rewards, self.log_probs);
        [
            self.pairs,
            a,
            b,
            self.accurate,
            c,
            d,
            self.nll,
            self.nll_tokens,
        ]
    }

    pub(in crate::train) fn from_array(sums: [f64; N_SUMS]) -> Self {
        let [pairs, a, b, accurate, c, d, nll, nll_tokens] = sums;
        Self {
            pairs,
            rewards: [a, b],
            accurate,
            log_probs: [c, d],
            nll,
            nll_tokens,
        }
    }
}
