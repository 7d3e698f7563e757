//! Shapes of routers.

use super::SoftmaxOver;
use crate::case::{self, Case};

/// Sizes and the softmax.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Tokens.
    pub tokens: usize,
    /// Experts.
    pub experts: usize,
    /// Experts of a token.
    pub chosen: usize,
    /// Experts that the softmax goes over.
    pub over: SoftmaxOver,
}

/// One token, one expert, all experts, primes.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let sizes = [(1, 5, 2), (3, 1, 1), (7, 3, 3), (13, 11, 4)];
    let shapes = [SoftmaxOver::All, SoftmaxOver::Chosen].map(|over| {
        sizes.map(|(tokens, experts, chosen)| CaseShape {
            tokens,
            experts,
            chosen,
            over,
        })
    });
    case::small(shapes.concat())
}
