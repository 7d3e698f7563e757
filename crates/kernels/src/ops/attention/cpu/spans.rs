//! Queries of sequences, and the keys of each, wherever these lie.

use super::tile::WIDEST_PANEL;
use crate::ops::attention::visible::Visible;
use crate::ops::attention::{AttentionMask, CachedSequence};
use candle_core::Result;
use std::ops::Range;

/// Queries that share what a tile of keys brings into the cache.
pub(super) const QUERIES: usize = 96;

/// Keys of a tile at most, a multiple of the widest panel.
pub(super) const KEYS: usize = 4 * WIDEST_PANEL;

/// Consecutive queries in one row of the batch. Numbers of queries and keys count from its first ones.
pub(super) struct Span {
    /// Place among all spans.
    pub(super) number: usize,
    pub(super) row: usize,
    /// Place of the first query in its row.
    pub(super) first_query: usize,
    pub(super) visible: Visible,
    /// Numbers of the pieces that its keys lie in.
    pieces: Range<usize>,
}

impl Span {
    /// Queries of the span, some at a time.
    pub(super) fn blocks(&self) -> impl ExactSizeIterator<Item = Range<usize>> + use<> {
        let queries = self.visible.queries;
        let firsts = (0..queries).step_by(QUERIES);
        firsts.map(move |first| first..queries.min(first + QUERIES))
    }
}

/// Test of whether a span is meant.
pub(super) type Which = fn(&Span) -> bool;

/// Keys and values that lie behind each other.
pub(super) struct Piece {
    /// Number of the tensors that they lie in.
    pub(super) source: usize,
    /// Row of the batch.
    pub(super) row: usize,
    /// Place of the first in its row.
    pub(super) first: usize,
    pub(super) len: usize,
    /// Number of the first key in its span.
    pub(super) position: usize,
}

/// Consecutive keys of a piece.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Number of the piece.
    pub(super) piece: usize,
    /// Place of the first in the piece.
    pub(super) first: usize,
    pub(super) len: usize,
    /// Number of the first key in its span.
    pub(super) position: usize,
}

impl Keys {
    /// Number of the key behind the last.
    pub(super) fn end(&self) -> usize {
        self.position + self.len
    }

    /// Keys of some columns, those that are there.
    pub(super) fn part(&self, columns: &Range<usize>) -> Self {
        Self {
            first: self.first + columns.start,
            len: columns.end.min(self.len) - columns.start,
            position: self.position + columns.start,
            ..*self
        }
    }
}

/// Spans in the order of their queries, and the pieces of all.
#[derive(Default)]
pub(super) struct Spans {
    spans: Vec<Span>,
    pub(super) pieces: Vec<Piece>,
}

impl Spans {
    /// Spans of a mask, or whole rows; keys and values lie in one pair of tensors.
    pub(super) fn of_mask(mask: &AttentionMask, batch: usize, sizes: [usize; 2]) -> Self {
        let mut all = Self::default();
        for span in &*mask.spans(batch, sizes) {
            let first_query = (span.row, span.queries.start);
            let piece = (0, span.row, span.keys.clone());
            all.add(first_query, Visible::new(mask, span), [piece]);
        }
        all
    }

    /// Spans of sequences, each of whose pieces is a pair of tensors.
    pub(super) fn of_sequences(
        sequences: &[CachedSequence],
        window: Option<usize>,
    ) -> Result<Self> {
        let (mut all, mut first_query) = (Self::default(), 0);
        for sequence in sequences {
            let lengths = sequence.pieces.iter().map(|[k, _]| k.dim(2));
            let lengths = lengths.collect::<Result<Vec<_>>>()?;
            let visible = Visible {
                causal: true,
                window,
                queries: sequence.queries,
                keys: lengths.iter().sum(),
            };
            let first_source = all.pieces.len();
            let pieces = (first_source..).zip(lengths);
            let pieces = pieces.map(|(source, len)| (source, 0, 0..len));
            all.add((0, first_query), visible, pieces);
            first_query += sequence.queries;
        }
        Ok(all)
    }

    fn add(
        &mut self,
        (row, first_query): (usize, usize),
        visible: Visible,
        pieces: impl IntoIterator<Item = (usize, usize, Range<usize>)>,
    ) {
        let (first_piece, mut position) = (self.pieces.len(), 0);
        for (source, row, tokens) in pieces {
            self.pieces.push(Piece {
                source,
                row,
                first: tokens.start,
                len: tokens.len(),
                position,
            });
            position += tokens.len();
        }
        self.spans.push(Span {
            number: self.spans.len(),
            row,
            first_query,
            visible,
            pieces: first_piece..self.pieces.len(),
        });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter()
    }

    /// Spans in every head, in the order of tensors `(B, heads, T, D)`.
    pub(super) fn heads(&self, heads: usize) -> impl Iterator<Item = (&Span, usize)> {
        let rows = self.spans.chunk_by(|a, b| a.row == b.row);
        rows.flat_map(move |spans| {
            (0..heads).flat_map(move |head| spans.iter().map(move |span| (span, head)))
        })
    }

    /// Keys of a span that are in `range`, at most `len` at a time, none of two pieces.
    pub(super) fn keys(
        &self,
        span: &Span,
        range: Range<usize>,
        len: usize,
    ) -> impl Iterator<Item = Keys> {
        let pieces = &self.pieces[span.pieces.clone()];
        let skipped = pieces.partition_point(|piece| piece.position + piece.len <= range.start);
        let pieces = (span.pieces.start + skipped..).zip(&pieces[skipped..]);
        let pieces = pieces.take_while(move |(_, piece)| piece.position < range.end);
        pieces.flat_map(move |(number, piece)| {
            let first = range.start.saturating_sub(piece.position);
            let end = piece.len.min(range.end - piece.position);
            (first..end).step_by(len).map(move |first| Keys {
                piece: number,
                first,
                len: len.min(end - first),
                position: piece.position + first,
            })
        })
    }

    /// Tiles of a span: each begins with a panel of its piece.
    pub(super) fn tiles(&self, span: &Span) -> impl Iterator<Item = Keys> {
        self.keys(span, 0..span.visible.keys, KEYS)
    }

    /// Pieces of some spans, by their numbers.
    pub(super) fn pieces_of(&self, spans: Which) -> impl Iterator<Item = usize> {
        let spans = self.spans.iter().filter(move |span| spans(span));
        spans.flat_map(|span| span.pieces.clone())
    }

    /// Pairs of a query and a key, hidden ones included.
    pub(super) fn pairs(&self) -> usize {
        let pairs = |span: &Span| span.visible.queries * span.visible.keys;
        self.spans.iter().map(pairs).sum()
    }
}
