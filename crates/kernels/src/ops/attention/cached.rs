//! Attention of many sequences over the keys and values that are held of each.
//!
//! What a cache holds lies in one tensor or in several, such as the pages of Kwon et al. 2023
//! (<https://arxiv.org/abs/2309.06180>): the kernel reads each where it lies. There are no gradients of
//! its own: of tracked inputs the operation is computed a sequence at a time.

use super::{AttentionMask, AttentionScores, attention, check_sinks, check_window, cpu, reference};
use crate::graph::path::Devices;
use crate::ops::softcap::check_cap;
use crate::{Error, Result};
use candle_core::Tensor;

/// New tokens of a sequence, and its keys and values up to the last of them.
#[derive(Clone, Debug)]
pub struct CachedSequence {
    /// Number of queries: those of its last tokens.
    pub queries: usize,
    /// Keys and values of consecutive tokens, `(1, G, n, D)` each, in the order of the tokens. That of a
    /// single query is free, if it sees all of them.
    pub pieces: Vec<[Tensor; 2]>,
}

impl CachedSequence {
    /// Number of keys.
    fn keys(&self) -> Result<usize> {
        let lengths = self.pieces.iter().map(|[k, _]| k.dim(2));
        Ok(lengths.sum::<candle_core::Result<_>>()?)
    }
}

/// Window of a query, and its scoring.
pub(super) type Rule<'a> = (Option<usize>, AttentionScores<'a>);

type CachedFn = fn(&Tensor, &[CachedSequence], Rule<'_>) -> Result<Tensor>;

const DEVICES: Devices<CachedFn> = Devices {
    cpu: Some(cpu::cached),
    metal: Some(one_by_one),
    cuda: None,
};

/// Causal attention of sequences whose queries lie behind each other, `(1, H, T, D)`, each over keys of
/// its own: `(1, H, T, D)` in the dtype of `q`. With a window a query sees so many keys, its own
/// included.
///
/// # Errors
/// When shapes do not fit, the queries of all sequences are not `T`, a sequence has fewer keys than
/// queries, or none, the window is empty, the bound is not positive, or sinks are not `(H,)` in float32.
pub fn cached_attention<'a>(
    q: &Tensor,
    sequences: &[CachedSequence],
    window: Option<usize>,
    scores: impl Into<AttentionScores<'a>>,
) -> Result<Tensor> {
    let scores = scores.into();
    check(q, sequences)?;
    check_window(NAME, window)?;
    check_cap(NAME, scores.softcap)?;
    check_sinks(NAME, scores.sinks, q)?;
    let pieces = || sequences.iter().flat_map(|sequence| &sequence.pieces);
    let held = || pieces().flatten();
    let is_tracked = held().chain([q]).any(Tensor::track_op);
    match DEVICES.kernel(NAME, q, held()) {
        Some(run) if !is_tracked => run(q, sequences, (window, scores)),
        Some(_) => one_by_one(q, sequences, (window, scores)),
        None => each(q, sequences, window, |[q, k, v], mask| {
            reference::forward(q, k, v, mask, scores)
        }),
    }
}

const NAME: &str = "cached_attention";

fn check(q: &Tensor, sequences: &[CachedSequence]) -> Result<()> {
    let (b, h, t, d) = q.dims4()?;
    let queries: usize = sequences.iter().map(|sequence| sequence.queries).sum();
    if b != 1 || queries != t {
        return Err(Error::shape(NAME, "q", format!("(1, H, {queries}, D)"), q));
    }
    let first = sequences
        .iter()
        .flat_map(|sequence| &sequence.pieces)
        .next();
    let g = first.map_or(Ok(h), |[k, _]| k.dim(1))?;
    for sequence in sequences {
        check_pieces(&sequence.pieces, (h, g, d))?;
        let (keys, queries) = (sequence.keys()?, sequence.queries);
        if keys < queries.max(1) {
            return Err(Error::Value {
                op: NAME,
                what: "the keys of a sequence",
                expected: format!("at least {}", queries.max(1)),
                got: keys.to_string(),
            });
        }
    }
    Ok(())
}

fn check_pieces(pieces: &[[Tensor; 2]], (h, g, d): (usize, usize, usize)) -> Result<()> {
    for [k, v] in pieces {
        let (_, _, n, _) = k.dims4()?;
        if k.dims() != [1, g, n, d] || g == 0 || h % g != 0 {
            let expected = format!("(1, G, n, {d}) with one G, a divisor of {h}");
            return Err(Error::shape(NAME, "k", expected, k));
        }
        if v.dims() != k.dims() {
            return Err(Error::shape(NAME, "v", format!("{:?}", k.dims()), v));
        }
    }
    Ok(())
}

/// Result of [`attention`] for one sequence after the other, over copies of keys and values that lie in several tensors.
fn one_by_one(
    q: &Tensor,
    sequences: &[CachedSequence],
    (window, scores): Rule<'_>,
) -> Result<Tensor> {
    each(q, sequences, window, |[q, k, v], mask| {
        attention(q, k, v, mask, scores)
    })
}

fn each(
    q: &Tensor,
    sequences: &[CachedSequence],
    window: Option<usize>,
    forward: impl Fn([&Tensor; 3], &AttentionMask) -> Result<Tensor>,
) -> Result<Tensor> {
    let mask = AttentionMask {
        causal: true,
        window,
        spans: None,
    };
    let mut first = 0;
    let results = sequences.iter().map(|sequence| {
        let own = q.narrow(2, first, sequence.queries)?;
        first += sequence.queries;
        let [k, v] = [joined(&sequence.pieces, 0)?, joined(&sequence.pieces, 1)?];
        forward([&own, &k, &v], &mask)
    });
    match &results.collect::<Result<Vec<_>>>()?[..] {
        [] => Ok(q.clone()),
        [one] => Ok(one.clone()),
        results => Ok(Tensor::cat(results, 2)?),
    }
}

/// Keys, or values, of all pieces; one is given as it is.
fn joined(pieces: &[[Tensor; 2]], which: usize) -> Result<Tensor> {
    match pieces {
        [piece] => Ok(piece[which].clone()),
        _ => {
            let pieces: Vec<_> = pieces.iter().map(|piece| &piece[which]).collect();
            Ok(Tensor::cat(&pieces, 2)?)
        }
    }
}
