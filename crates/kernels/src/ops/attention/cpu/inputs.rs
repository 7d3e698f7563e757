//! Inputs that kernels read.

use super::heads::{Heads, Wide};
use super::spans::{Keys, Span, Spans, Which};
use super::tile::{Left, Right};
use crate::host::online::Statistics;
use crate::ops::attention::sizes::{Scoring, Sizes};
use std::ops::Range;

/// Queries, and the tensors of keys and values that pieces lie in.
pub(super) struct Inputs<'a> {
    pub(super) sizes: Sizes,
    pub(super) scoring: Scoring,
    pub(super) spans: Spans,
    pub(super) q: Heads<'a>,
    pub(super) sources: Vec<[Heads<'a>; 2]>,
    /// One score a head; empty for none.
    pub(super) sinks: Vec<f32>,
}

impl Inputs<'_> {
    /// Work in elements of a loop over memory: products do some tens of operations in the time of one.
    pub(super) fn work(&self) -> usize {
        self.spans.pairs() * self.sizes.heads * self.sizes.width / 16
    }

    /// Statistics of a row of a head before its first key: those of the head's sink.
    pub(super) fn before_keys(&self, head: usize) -> Statistics {
        let sink = self.sinks.get(head).copied();
        sink.map_or_else(Statistics::default, Statistics::of_one)
    }

    /// Rows of the queries of a head of a span, among all of `(B, H, Tq)`.
    pub(super) fn rows(&self, span: &Span, head: usize, queries: Range<usize>) -> Range<usize> {
        let head = span.row * self.sizes.heads + head;
        let first = head * self.sizes.queries + span.first_query;
        first + queries.start..first + queries.end
    }

    /// Keys, or values, in float32 and whole panels, of the tensors that some spans read; others are empty.
    pub(super) fn widened(&self, which: usize, spans: Which) -> Vec<Wide<'_>> {
        let mut all: Vec<_> = self.sources.iter().map(|_| Wide::default()).collect();
        for piece in self.spans.pieces_of(spans) {
            let source = self.spans.pieces[piece].source;
            if all[source].is_empty() {
                all[source] = self.sources[source][which].widened();
            }
        }
        all
    }

    /// Keys, or values, from the first of `keys` on.
    pub(super) fn tokens<'b>(
        &self,
        sources: &'b [Wide<'_>],
        kv_head: usize,
        keys: Keys,
    ) -> Right<'b> {
        let piece = &self.spans.pieces[keys.piece];
        sources[piece.source].tokens(piece.row, kv_head, piece.first + keys.first)
    }
}

/// Rows of a head's queries, or of what has their shape.
pub(super) fn rows_of<'a>(
    heads: &'a Wide<'_>,
    span: &Span,
    head: usize,
    queries: Range<usize>,
) -> Left<'a> {
    let rows = heads.tokens(span.row, head, span.first_query + queries.start);
    Left {
        data: rows.data,
        rows: queries.len(),
        row: rows.step,
        step: 1,
    }
}
