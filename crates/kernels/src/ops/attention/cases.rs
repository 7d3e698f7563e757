//! Shapes of attention.

use super::AttentionSpan;
use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes and masks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseShape {
    /// `B`.
    pub batch: usize,
    /// `H`.
    pub heads: usize,
    /// `G`, a divisor of `H`.
    pub kv_heads: usize,
    /// `Tq`.
    pub queries: usize,
    /// `Tk`.
    pub keys: usize,
    /// `D`.
    pub width: usize,
    /// Whether a query sees only the keys up to its own.
    pub causal: bool,
    /// Keys up to its own that a query sees at most.
    pub window: Option<usize>,
    /// Spans; empty for none.
    pub spans: Vec<AttentionSpan>,
    /// Bound of the scores.
    pub softcap: Option<f64>,
    /// Whether heads have sinks.
    pub sinks: bool,
}

impl CaseShape {
    /// `(B, H, Tq, D)`.
    #[must_use]
    pub fn query_dims(&self) -> [usize; 4] {
        [self.batch, self.heads, self.queries, self.width]
    }

    /// `(B, G, Tk, D)`.
    #[must_use]
    pub fn key_dims(&self) -> [usize; 4] {
        [self.batch, self.kv_heads, self.keys, self.width]
    }

    /// Whether query `i` of row `b` sees key `j`.
    #[must_use]
    pub fn sees(&self, b: usize, i: usize, j: usize) -> bool {
        let is_own = |span: &&AttentionSpan| {
            span.row == b && span.queries.contains(&i) && span.keys.contains(&j)
        };
        let (queries, keys) = match self.spans.iter().find(is_own) {
            Some(span) => (span.queries.clone(), span.keys.clone()),
            None if self.spans.is_empty() => (0..self.queries, 0..self.keys),
            None => return false,
        };
        let position = (i + keys.end).wrapping_sub(queries.end);
        let causal = !self.causal || j <= position;
        causal && self.window.is_none_or(|window| j + window > position)
    }

    /// Pairs of a query and a key that it sees, over batch and heads.
    fn pairs(&self) -> usize {
        let seen = |b, i| (0..self.keys).filter(|&j| self.sees(b, i, j)).count();
        let of_row = |b| (0..self.queries).map(|i| seen(b, i)).sum::<usize>();
        self.heads * (0..self.batch).map(of_row).sum::<usize>()
    }

    fn moved(&self) -> (usize, usize) {
        (
            self.query_dims().iter().product(),
            self.key_dims().iter().product(),
        )
    }
}

impl Costed for CaseShape {
    /// Two products over the visible pairs; reads `q`, `k`, `v`, writes `y`.
    fn forward(&self, dtype: DType) -> Cost {
        let (q, k) = self.moved();
        Cost::new(4 * self.pairs() * self.width, 2 * q + 2 * k, dtype)
    }

    /// Five products; reads `q`, `k`, `v`, `y`, `dy`, writes three gradients.
    fn backward(&self, dtype: DType) -> Cost {
        let (q, k) = self.moved();
        Cost::new(10 * self.pairs() * self.width, 4 * q + 4 * k, dtype)
    }
}

/// Every mask, with and without a bound and sinks, one query, one key, grouped heads, more rows than one block, and,
/// of Metal's kernels, columns of several tiles and slices.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let mut shapes = vec![
        shape([1, 1, 1, 1, 1, 1], false),
        shape([1, 2, 1, 1, 5, 4], true),
        shape([2, 4, 2, 1, 7, 3], true),
        shape([2, 1, 1, 5, 5, 3], true),
        shape([1, 2, 2, 4, 7, 5], false),
        shape([1, 2, 1, 7, 3, 4], false),
        shape([1, 3, 1, 3, 8, 6], true),
        shape([2, 6, 2, 7, 7, 4], true),
        shape([1, 2, 1, 37, 37, 5], true),
        shape([1, 4, 2, 33, 65, 8], true),
        shape([1, 2, 1, 5, 40, 37], true),
        shape([1, 1, 1, 6, 6, 131], true),
        shape([1, 9, 1, 2, 3, 131], false),
        shape([1, 9, 3, 2, 3, 70], false),
    ];
    shapes.push(shape([1, 2, 1, 1, 69, 3], true));
    for causal in [false, true] {
        shapes.push(packed([1, 2, 1, 67, 67, 3], causal, &[23, 23, 21]));
        shapes.push(packed([2, 4, 2, 6, 6, 4], causal, &[2, 3, 1]));
        shapes.push(ragged(causal));
    }
    shapes.extend(windowed());
    shapes.extend(bounded());
    shapes.extend(with_sinks());
    case::small(shapes)
}

/// One query against more keys than Metal's kernel for few keys takes, narrow and wide, with more heads of a group than SIMD
/// groups.
#[must_use]
pub fn long() -> Vec<Case<CaseShape>> {
    case::small([
        shape([1, 9, 1, 1, 1100, 3], true),
        shape([1, 2, 1, 1, 1030, 70], false),
        shape([1, 2, 1, 1, 1030, 131], true),
        with_sink(shape([2, 4, 2, 2, 1030, 3], true)),
    ])
}

/// Rows of several lengths beside and behind each other, with queries and keys that are in no span,
/// single queries, and keys from before.
fn ragged(causal: bool) -> CaseShape {
    let spans = [
        (0, 0..5, 0..5),
        (1, 1..2, 0..4),
        (1, 2..6, 4..9),
        (1, 7..8, 10..11),
        (3, 0..9, 1..12),
    ];
    let spans = spans.map(|(row, queries, keys)| AttentionSpan { row, queries, keys });
    CaseShape {
        spans: spans.to_vec(),
        ..shape([4, 2, 1, 9, 12, 3], causal)
    }
}

/// Windows of one key and of more than there are, in one query, with a cache, over tiles, and in spans.
fn windowed() -> Vec<CaseShape> {
    let windowed = |shape, window| CaseShape {
        window: Some(window),
        ..shape
    };
    vec![
        windowed(shape([1, 2, 1, 1, 9, 4], true), 3),
        windowed(shape([2, 4, 2, 6, 6, 4], true), 1),
        windowed(shape([1, 2, 1, 5, 40, 5], true), 7),
        windowed(shape([1, 2, 1, 4, 6, 3], true), 99),
        windowed(shape([1, 2, 1, 7, 9, 3], false), 2),
        windowed(shape([1, 1, 1, 37, 100, 3], true), 20),
        windowed(packed([1, 2, 1, 67, 67, 3], true, &[23, 23, 21]), 9),
        windowed(ragged(true), 3),
        windowed(ragged(false), 3),
    ]
}

/// Bounds below and above the scores, in one query, few and many, and under every mask.
fn bounded() -> Vec<CaseShape> {
    let bounded = |shape, cap| CaseShape {
        softcap: Some(cap),
        ..shape
    };
    let near = CaseShape {
        window: Some(4),
        ..packed([2, 4, 2, 6, 6, 4], true, &[2, 4])
    };
    vec![
        bounded(shape([1, 2, 1, 1, 9, 4], true), 1.5),
        bounded(shape([1, 2, 1, 7, 3, 4], false), 50.0),
        bounded(shape([1, 4, 2, 3, 40, 4], true), 1.0),
        bounded(shape([1, 2, 1, 37, 37, 5], true), 1.5),
        bounded(near, 2.0),
    ]
}

fn with_sink(shape: CaseShape) -> CaseShape {
    CaseShape {
        sinks: true,
        ..shape
    }
}

/// Sinks beside one key, with queries in no span, with a bound and a window, and over tiles.
fn with_sinks() -> Vec<CaseShape> {
    let near = CaseShape {
        window: Some(4),
        softcap: Some(2.0),
        ..packed([2, 4, 2, 6, 6, 4], true, &[2, 3])
    };
    let shapes = [
        shape([1, 2, 1, 1, 1, 3], true),
        shape([2, 4, 2, 1, 9, 4], true),
        shape([1, 2, 1, 7, 3, 4], false),
        shape([1, 4, 2, 37, 70, 5], true),
        shape([1, 2, 1, 6, 6, 131], true),
        ragged(true),
        near,
    ];
    shapes.map(with_sink).to_vec()
}

/// A training row, and one token against a cache of 2048.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let sizes = |queries, keys| {
            let (h, g) = (model.heads, model.kv_heads);
            [1, h, g, queries, keys, model.head_width]
        };
        vec![
            shape(sizes(TRAINED_TOKENS, TRAINED_TOKENS), true),
            shape(sizes(2048, 2048), true),
            shape(sizes(1, 2048), true),
        ]
    })
}

/// Training rows of two lengths, with the heads of a small model.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let rows = [512, 2048].map(|tokens| shape([1, 14, 2, tokens, tokens, 64], true));
    case::of_table(rows, &[DType::F32])
}

fn shape(sizes: [usize; 6], causal: bool) -> CaseShape {
    let [batch, heads, kv_heads, queries, keys, width] = sizes;
    CaseShape {
        batch,
        heads,
        kv_heads,
        queries,
        keys,
        width,
        causal,
        ..CaseShape::default()
    }
}

/// Sequences of these lengths behind each other in every row.
pub(super) fn packed(sizes: [usize; 6], causal: bool, lengths: &[usize]) -> CaseShape {
    let shape = shape(sizes, causal);
    let row = |row| {
        let mut start = 0;
        lengths.iter().map(move |len| {
            let place = start..start + len;
            start = place.end;
            AttentionSpan {
                row,
                queries: place.clone(),
                keys: place,
            }
        })
    };
    CaseShape {
        spans: (0..shape.batch).flat_map(row).collect(),
        ..shape
    }
}
