//! Shapes of mixtures of experts.

use crate::case::{self, Case};

/// Sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Tokens.
    pub tokens: usize,
    /// Experts.
    pub experts: usize,
    /// Experts of a token.
    pub chosen: usize,
    /// Width of a row.
    pub width: usize,
}

impl CaseShape {
    /// Experts of each token, which differ; the last expert has none where there are more than a token has.
    #[must_use]
    pub fn assigned(&self) -> Vec<u32> {
        let used = (self.experts - 1).max(self.chosen);
        let of_token = |t: usize| (0..self.chosen).map(move |k| ((t * t + k) % used) as u32);
        (0..self.tokens).flat_map(of_token).collect()
    }
}

/// One token, one expert, one column, all experts, an expert without tokens, primes.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let sizes = [
        (1, 5, 2, 3),
        (3, 1, 1, 7),
        (7, 3, 3, 1),
        (13, 7, 2, 17),
        (5, 9, 1, 4),
    ];
    let shapes = sizes.map(|(tokens, experts, chosen, width)| CaseShape {
        tokens,
        experts,
        chosen,
        width,
    });
    case::small(shapes)
}
