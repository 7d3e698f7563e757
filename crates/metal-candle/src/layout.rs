//! Ragged tokens in rows of one width: which sequence every token belongs to, and its position there.

use metal_candle_kernels::AttentionSpan;

/// Consecutive tokens of one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Sequence that the tokens belong to, by its number among those of a pass.
    pub sequence: usize,
    /// Position of the first token in its sequence.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
}

impl Span {
    /// Position behind the last token.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

/// Arrangement of whole sequences in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrangement {
    /// One sequence a row, and padding behind the shorter ones.
    #[default]
    Padded,
    /// All sequences behind each other in one row, without padding.
    Packed,
}

/// Spans of tokens in rows of one width, which tensors need; padding stands at the end of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    rows: Vec<Vec<Span>>,
    width: usize,
}

impl Layout {
    /// Whole sequences of these lengths, numbered in their order.
    #[must_use]
    pub fn new(arrangement: Arrangement, lengths: &[usize]) -> Self {
        let spans = lengths.iter().enumerate();
        let spans = spans.map(|(sequence, &len)| Span {
            sequence,
            start: 0,
            len,
        });
        match arrangement {
            Arrangement::Padded => Self::of(spans.map(|span| vec![span]).collect()),
            Arrangement::Packed => Self::ragged(spans.collect()),
        }
    }

    /// Tokens of several sequences in one row, without padding.
    #[must_use]
    pub fn ragged(spans: Vec<Span>) -> Self {
        Self::of(vec![spans])
    }

    fn of(rows: Vec<Vec<Span>>) -> Self {
        let width = rows.iter().map(|row| n_tokens(row)).max().unwrap_or(0);
        Self { rows, width }
    }

    /// Number of rows and their width in tokens.
    #[must_use]
    pub fn dims(&self) -> (usize, usize) {
        (self.rows.len(), self.width)
    }

    /// Number of tokens, padding aside.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.rows.iter().map(|row| n_tokens(row)).sum()
    }

    /// Every span with the place of its first token, counted through all rows.
    pub fn spans(&self) -> impl Iterator<Item = (usize, Span)> {
        self.rows.iter().enumerate().flat_map(|(row, spans)| {
            let places = spans.iter().scan(row * self.width, |next, span| {
                let place = *next;
                *next += span.len;
                Some((place, *span))
            });
            places.collect::<Vec<_>>()
        })
    }

    /// Length that the longest sequence has reached with these tokens.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.spans().map(|(_, span)| span.end()).max().unwrap_or(0)
    }

    /// Position of every place, padding counted on: those of one row where all rows have the same,
    /// else those of all rows.
    #[must_use]
    pub fn positions(&self) -> Vec<usize> {
        let of = |row: &Vec<Span>| {
            let end = row.last().map_or(0, Span::end);
            let spans = row.iter().flat_map(|span| span.start..span.end());
            let all: Vec<usize> = spans.chain(end..).take(self.width).collect();
            all
        };
        let mut rows: Vec<Vec<usize>> = self.rows.iter().map(of).collect();
        rows.dedup();
        match rows.len() {
            1 => rows.remove(0),
            _ => self.rows.iter().flat_map(of).collect(),
        }
    }

    /// Spans of whole sequences, each of which sees its own tokens alone; `None` where every one fills
    /// its row.
    #[must_use]
    pub fn attention_spans(&self) -> Option<Vec<AttentionSpan>> {
        let fills = |row: &Vec<Span>| row.len() == 1 && row[0].len == self.width;
        if self.rows.iter().all(fills) {
            return None;
        }
        let spans = self.spans().map(|(place, span)| {
            let start = place % self.width;
            AttentionSpan {
                row: place / self.width,
                queries: start..start + span.len,
                keys: start..start + span.len,
            }
        });
        Some(spans.filter(|span| !span.keys.is_empty()).collect())
    }

    /// Values of all tokens, span by span, in their places; `padding` elsewhere.
    #[must_use]
    pub fn lay<T: Copy>(&self, values: impl IntoIterator<Item = T>, padding: T) -> Vec<T> {
        let mut values = values.into_iter();
        let mut laid = Vec::with_capacity(self.rows.len() * self.width);
        for row in &self.rows {
            laid.extend(values.by_ref().take(n_tokens(row)));
            laid.resize(laid.len() + self.width - n_tokens(row), padding);
        }
        laid
    }
}

fn n_tokens(row: &[Span]) -> usize {
    row.iter().map(|span| span.len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    /// Rows and places of the spans that see their own tokens alone.
    fn seen(layout: &Layout) -> Vec<(usize, Range<usize>)> {
        let spans = layout.attention_spans().unwrap().into_iter();
        let place = |span: AttentionSpan| {
            assert_eq!(span.queries, span.keys);
            (span.row, span.keys)
        };
        spans.map(place).collect()
    }

    #[test]
    fn sequences_that_fill_their_rows_need_no_spans() {
        for layout in [
            Layout::new(Arrangement::Padded, &[3, 3]),
            Layout::new(Arrangement::Packed, &[4]),
        ] {
            assert_eq!(layout.attention_spans(), None);
        }
    }

    #[test]
    fn padded_rows_share_positions() {
        let layout = Layout::new(Arrangement::Padded, &[3, 1]);
        assert_eq!((layout.dims(), layout.n_tokens()), ((2, 3), 4));
        assert_eq!(layout.positions(), [0, 1, 2]);
        assert_eq!(seen(&layout), [(0, 0..3), (1, 0..1)]);
        assert_eq!(layout.lay([5, 6, 7, 8], 0), [5, 6, 7, 8, 0, 0]);
        let places: Vec<_> = layout
            .spans()
            .map(|(place, span)| (place, span.len))
            .collect();
        assert_eq!(places, [(0, 3), (3, 1)]);
    }

    #[test]
    fn packed_sequences_begin_again() {
        let layout = Layout::new(Arrangement::Packed, &[3, 1, 2]);
        assert_eq!((layout.dims(), layout.n_tokens()), ((1, 6), 6));
        assert_eq!(layout.positions(), [0, 1, 2, 0, 0, 1]);
        assert_eq!(seen(&layout), [(0, 0..3), (0, 3..4), (0, 4..6)]);
        assert_eq!(layout.longest(), 3);
    }

    #[test]
    fn a_span_goes_on_where_its_sequence_stands() {
        let spans = [(7, 10, 1), (2, 4, 3)];
        let spans = spans.map(|(sequence, start, len)| Span {
            sequence,
            start,
            len,
        });
        let layout = Layout::ragged(spans.to_vec());
        assert_eq!(layout.positions(), [10, 4, 5, 6]);
        assert_eq!(layout.longest(), 11);
        assert_eq!(
            layout.spans().map(|(place, _)| place).collect::<Vec<_>>(),
            [0, 1]
        );
    }

    #[test]
    fn rows_with_different_spans_have_positions_of_their_own() {
        let span = |start, len| Span {
            sequence: 0,
            start,
            len,
        };
        let layout = Layout::of(vec![vec![span(0, 2), span(0, 1)], vec![span(5, 1)]]);
        assert_eq!(layout.positions(), [0, 1, 0, 5, 6, 7]);
        assert_eq!(seen(&layout), [(0, 0..2), (0, 2..3), (1, 0..1)]);
        assert_eq!(layout.lay([1, 2, 3, 4], 9), [1, 2, 3, 4, 9, 9]);
    }

    #[test]
    fn no_sequence_is_no_row() {
        assert_eq!(Layout::new(Arrangement::Padded, &[]).dims(), (0, 0));
        assert_eq!(Layout::new(Arrangement::Packed, &[]).dims(), (1, 0));
    }
}
