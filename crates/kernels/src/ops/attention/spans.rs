//! Queries that see some keys only.

use super::AttentionMask;
use crate::{Error, Result};
use std::borrow::Cow;
use std::ops::Range;

/// Consecutive queries of one row of the batch, and the keys of that row that they may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttentionSpan {
    /// Row of the batch.
    pub row: usize,
    /// Queries, of the row's `Tq`.
    pub queries: Range<usize>,
    /// Keys, of the row's `Tk`.
    pub keys: Range<usize>,
}

impl AttentionSpan {
    /// Whether it lies within a batch, and with at least one key, as many as queries where these have
    /// positions among them.
    fn fits(&self, needs_positions: bool, batch: usize, [queries, keys]: [usize; 2]) -> bool {
        let within = |range: &Range<usize>, len| range.start <= range.end && range.end <= len;
        let least = match needs_positions {
            true => self.queries.len().max(1),
            false => 1,
        };
        self.row < batch
            && within(&self.queries, queries)
            && within(&self.keys, keys)
            && self.keys.len() >= least
    }

    fn is_before(&self, next: &Self) -> bool {
        let is_behind = self.queries.end <= next.queries.start && self.keys.end <= next.keys.start;
        self.row < next.row || self.row == next.row && is_behind
    }
}

impl AttentionMask {
    /// Spans of the mask, or whole rows of so many queries and keys.
    pub(super) fn spans(
        &self,
        batch: usize,
        [queries, keys]: [usize; 2],
    ) -> Cow<'_, [AttentionSpan]> {
        let whole = |row| AttentionSpan {
            row,
            queries: 0..queries,
            keys: 0..keys,
        };
        match &self.spans {
            Some(spans) => Cow::Borrowed(&**spans),
            None => (0..batch).map(whole).collect(),
        }
    }
}

/// Refuses spans that do not fit into `batch` rows of so many queries and keys, or are out of order.
pub(super) fn check(
    spans: &[AttentionSpan],
    needs_positions: bool,
    batch: usize,
    sizes: [usize; 2],
) -> Result<()> {
    let refused = |expected: String, span: &AttentionSpan| Error::Value {
        op: "attention",
        what: "a span",
        expected,
        got: format!("{span:?}"),
    };
    let [queries, keys] = sizes;
    if let Some(span) = spans
        .iter()
        .find(|span| !span.fits(needs_positions, batch, sizes))
    {
        let enough = if needs_positions {
            ", no fewer keys than queries"
        } else {
            ""
        };
        let within = format!("within {batch} rows of {queries} queries and {keys} keys");
        return Err(refused(format!("{within}, with a key{enough}"), span));
    }
    match spans.windows(2).find(|pair| !pair[0].is_before(&pair[1])) {
        Some(pair) => Err(refused(format!("behind {:?}", pair[0]), &pair[1])),
        None => Ok(()),
    }
}
