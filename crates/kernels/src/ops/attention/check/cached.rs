//! Attention over keys and values that lie in many tensors: the formula over those of each sequence alone.

use super::SCALE;
use crate::Result;
use crate::case::{self, Case};
use crate::ops::attention::cached::{CachedSequence, cached_attention};
use crate::ops::attention::cases::CaseShape;
use crate::ops::attention::{AttentionScores, AttentionSpan};
use crate::testkit::{Input, Problem};
use candle_core::{DType, Tensor};

/// Sequences of so many queries each, and the lengths of its pieces.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    heads: usize,
    kv_heads: usize,
    width: usize,
    window: Option<usize>,
    softcap: Option<f64>,
    sinks: bool,
    /// Dtype of keys and values, where it is not that of the queries.
    held: Option<DType>,
    sequences: Vec<(usize, Vec<usize>)>,
}

/// One piece and many, single queries and several, windows, a bound, sinks, bf16 below float32, keys over more than one range and
/// tile, and columns of less than a panel, one and two.
pub(super) fn cases() -> Vec<Case<Cached>> {
    let all = |sequences: &[(usize, &[usize])]| {
        let sequences = sequences
            .iter()
            .map(|(queries, pieces)| (*queries, pieces.to_vec()));
        Cached {
            heads: 4,
            kv_heads: 2,
            width: 5,
            window: None,
            softcap: None,
            sinks: false,
            held: None,
            sequences: sequences.collect(),
        }
    };
    let mixed = all(&[
        (1, &[9]),
        (3, &[4, 4, 2]),
        (1, &[2, 7]),
        (7, &[7]),
        (1, &[1]),
        (2, &[1, 1, 1]),
    ]);
    case::small([
        Cached {
            width: 32,
            ..mixed.clone()
        },
        Cached {
            window: Some(3),
            ..mixed.clone()
        },
        Cached {
            softcap: Some(1.5),
            window: Some(6),
            width: 64,
            ..mixed.clone()
        },
        Cached {
            held: Some(DType::BF16),
            ..mixed.clone()
        },
        Cached {
            sinks: true,
            window: Some(6),
            ..mixed.clone()
        },
        mixed,
        Cached {
            heads: 2,
            kv_heads: 1,
            width: 2,
            ..all(&[(1, &[64; 9]), (1, &[600]), (3, &[130, 0, 40])])
        },
        Cached {
            sinks: true,
            ..all(&[(1, &[600]), (1, &[4, 5])])
        },
        Cached {
            heads: 9,
            kv_heads: 1,
            ..all(&[(1, &[3])])
        },
    ])
}

impl Cached {
    /// Spans of one row, one for each sequence.
    fn shape(&self) -> CaseShape {
        let (mut first_query, mut first_key) = (0, 0);
        let span = |(queries, pieces): &(usize, Vec<usize>)| {
            let queries = first_query..first_query + queries;
            let keys = first_key..first_key + pieces.iter().sum::<usize>();
            (first_query, first_key) = (queries.end, keys.end);
            AttentionSpan {
                row: 0,
                queries,
                keys,
            }
        };
        let spans: Vec<_> = self.sequences.iter().map(span).collect();
        CaseShape {
            batch: 1,
            heads: self.heads,
            kv_heads: self.kv_heads,
            queries: first_query,
            keys: first_key,
            width: self.width,
            causal: true,
            window: self.window,
            softcap: self.softcap,
            sinks: self.sinks,
            spans,
        }
    }

    /// The operation on pieces of `k` and `v`.
    fn run(&self, x: &[Tensor]) -> Result<Tensor> {
        let mut first = 0;
        let mut piece = |len: usize| -> Result<[Tensor; 2]> {
            let [k, v] = [1, 2].map(|i| x[i].narrow(2, first, len));
            first += len;
            Ok([k?, v?])
        };
        let sequence = |(queries, pieces): &(usize, Vec<usize>)| {
            let pieces = pieces.iter().map(|len| piece(*len));
            Ok(CachedSequence {
                queries: *queries,
                pieces: pieces.collect::<Result<_>>()?,
            })
        };
        let sequences = self.sequences.iter().map(sequence);
        let scores = AttentionScores {
            scale: SCALE,
            softcap: self.softcap,
            sinks: x.get(3),
        };
        cached_attention(
            &x[0],
            &sequences.collect::<Result<Vec<_>>>()?,
            self.window,
            scores,
        )
    }
}

pub(super) fn problem(case: &Case<Cached>) -> Problem {
    let shape = case.shape.shape();
    let (q, k) = (shape.query_dims(), shape.key_dims());
    let held = |input: Input| input.viewed(case.view).in_dtype(case.shape.held);
    let mut inputs = vec![
        Input::new("q", &q).map(|x| 2.0 * x).viewed(case.view),
        held(Input::new("k", &k).map(|x| 2.0 * x)),
        held(Input::new("v", &k)),
    ];
    inputs.extend(super::sinks_of(&shape, |x| 2.0 * x));
    let cached = case.shape.clone();
    Problem::new(inputs, move |x| super::truth(x, &shape))
        .run("cached attention", move |x| cached.run(x))
}
