//! Data sets in figures.

use std::collections::HashSet;

use serde::Serialize;

use super::dataset::Dataset;

/// Figures of one split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// Rows that are used.
    pub rows: usize,
    /// Tokens of these rows, cut.
    pub tokens: usize,
    /// Tokens that are targets of the loss.
    pub trained_tokens: usize,
    /// Lengths of the rows in tokens before they were cut; `None` without rows.
    pub lengths: Option<Lengths>,
    /// Rows that were cut.
    pub truncated_rows: usize,
    /// Tokens that were cut off.
    pub truncated_tokens: usize,
    /// Rows that are left out: of weight 0, or with nothing to train.
    pub left_out: usize,
    /// Rows that say what an earlier one says.
    pub duplicates: usize,
}

/// Lengths in tokens by rank: so many percent of the rows are not longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// The shortest.
    pub min: usize,
    /// Half of the rows.
    pub p50: usize,
    /// 90 %.
    pub p90: usize,
    /// 95 %.
    pub p95: usize,
    /// 99 %.
    pub p99: usize,
    /// The longest.
    pub max: usize,
}

impl Lengths {
    /// Ranks of sorted lengths (nearest rank).
    fn of(sorted: &[usize]) -> Option<Self> {
        let rank = |percent: usize| {
            sorted
                .get((sorted.len() * percent).div_ceil(100).max(1) - 1)
                .copied()
        };
        Some(Self {
            min: *sorted.first()?,
            p50: rank(50)?,
            p90: rank(90)?,
            p95: rank(95)?,
            p99: rank(99)?,
            max: *sorted.last()?,
        })
    }
}

impl Dataset {
    /// Figures of these rows.
    pub fn overview(&self) -> Overview {
        let lengths = self.facts.iter().map(|fact| fact.length as usize);
        let mut lengths: Vec<usize> = lengths.collect();
        lengths.sort_unstable();
        let mut seen = HashSet::new();
        let facts = self.facts.iter();
        Overview {
            rows: self.examples.len(),
            tokens: self.n_tokens(),
            trained_tokens: self.trained_tokens(),
            lengths: Lengths::of(&lengths),
            truncated_rows: self.truncated,
            truncated_tokens: self.truncated_tokens,
            left_out: self.n_untrained(),
            duplicates: facts.filter(|fact| !seen.insert(fact.fingerprint)).count(),
        }
    }

    /// Number of these rows that say what one of `other` says.
    pub fn shared_with(&self, other: &Self) -> usize {
        let theirs: HashSet<_> = other.facts.iter().map(|fact| fact.fingerprint).collect();
        let ours = self.facts.iter();
        ours.filter(|fact| theirs.contains(&fact.fingerprint))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_numpy() {
        // numpy.percentile(range(1, 11), [50, 90, 95, 99], method="inverted_cdf").
        let lengths: Vec<usize> = (1..=10).collect();
        let ranks = Lengths::of(&lengths).unwrap();
        assert_eq!(
            (
                ranks.min, ranks.p50, ranks.p90, ranks.p95, ranks.p99, ranks.max
            ),
            (1, 5, 9, 10, 10, 10)
        );
        let one = Lengths::of(&[7]).unwrap();
        assert_eq!((one.min, one.p50, one.max), (7, 7, 7));
        assert_eq!(Lengths::of(&[]), None);
    }
}
