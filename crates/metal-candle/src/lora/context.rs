use super::{AdapterSet, Mode};
use std::sync::Arc;

/// Computations of the layers of one pass beside their weights.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whether the pass is part of training.
    pub mode: Mode,
    /// Adapters of its tokens.
    pub adapters: Adapters,
}

/// Adapters of the tokens of one pass.
#[derive(Clone, Debug, Default)]
pub enum Adapters {
    /// The base model alone.
    #[default]
    None,
    /// One set for all tokens.
    One(Arc<AdapterSet>),
    /// Sets of tokens in their order, for passes that train nothing.
    Shares(Vec<Share>),
}

/// Tokens that follow each other, and their adapters.
#[derive(Clone, Debug)]
pub struct Share {
    /// Number of tokens.
    pub n_tokens: usize,
    /// `None`: the base model alone.
    pub set: Option<Arc<AdapterSet>>,
}

impl Context {
    /// Context with one set of adapters for all tokens, or none.
    #[must_use]
    pub fn new(mode: Mode, set: Option<Arc<AdapterSet>>) -> Self {
        let adapters = set.map_or(Adapters::None, Adapters::One);
        Self { mode, adapters }
    }

    /// Context of a pass that trains nothing, with one set of adapters or none.
    #[must_use]
    pub fn inference(set: Option<Arc<AdapterSet>>) -> Self {
        Self::new(Mode::INFERENCE, set)
    }

    /// Context of a pass that trains nothing, whose tokens have these adapters.
    #[must_use]
    pub fn shared(shares: Vec<Share>) -> Self {
        let mut merged: Vec<Share> = vec![];
        for share in shares {
            match merged.last_mut() {
                Some(last) if is_same(&last.set, &share.set) => last.n_tokens += share.n_tokens,
                _ => merged.push(share),
            }
        }
        match &mut merged[..] {
            [] => Self::default(),
            [all] => Self::inference(all.set.take()),
            _ => Self {
                mode: Mode::INFERENCE,
                adapters: Adapters::Shares(merged),
            },
        }
    }

    /// Context of the tokens in `places`, counted through all tokens and in their order.
    #[must_use]
    pub(crate) fn at(&self, places: &[u32]) -> Self {
        let Adapters::Shares(shares) = &self.adapters else {
            return self.clone();
        };
        let ends = shares.iter().scan(0, |end, share| {
            *end += share.n_tokens;
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let of = |&place: &u32| {
            let share = ends.partition_point(|end| *end <= place as usize);
            let set = shares.get(share).and_then(|share| share.set.clone());
            Share { n_tokens: 1, set }
        };
        Self::shared(places.iter().map(of).collect())
    }
}

fn is_same(a: &Option<Arc<AdapterSet>>, b: &Option<Arc<AdapterSet>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
