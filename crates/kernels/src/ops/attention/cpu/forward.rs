//! The result and the statistics of its rows.

use super::blocks;
use super::decode;
use super::inputs::Inputs;
use super::spans::Span;
use crate::host::online::Statistics;
use crate::ops::attention::sizes::Sizes;

/// Results of all rows `(B, H, Tq)`; those in no span are zero.
pub(super) struct Results {
    /// `(B, H, Tq, D)`.
    pub(super) y: Vec<f32>,
    pub(super) statistics: Vec<Statistics>,
}

/// Single queries are read against their keys as these are stored; several share what is turned for them.
pub(super) fn forward(inputs: &Inputs<'_>) -> Results {
    let Sizes { heads, queries, .. } = inputs.sizes;
    let rows = inputs.sizes.rows();
    let before_keys = |row| inputs.before_keys(row / queries % heads);
    let mut results = Results {
        y: vec![0.0; rows * inputs.sizes.width],
        statistics: (0..rows).map(before_keys).collect(),
    };
    if inputs.spans.iter().any(is_single) {
        decode::add(inputs, is_single, &mut results);
    }
    if inputs.spans.iter().any(are_several) {
        blocks::add(inputs, are_several, &mut results);
    }
    results
}

fn is_single(span: &Span) -> bool {
    span.visible.queries == 1
}

fn are_several(span: &Span) -> bool {
    span.visible.queries > 1
}
