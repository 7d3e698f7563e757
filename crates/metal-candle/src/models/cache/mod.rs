//! Keys and values of the tokens so far.

mod contiguous;
mod file;
mod held;
mod paged;
mod rotating;
#[cfg(test)]
mod tests;

pub use contiguous::Contiguous;
pub(super) use file::Form;
pub use file::{PromptCache, PromptCacheInfo};
pub use held::{Bound, Held};
pub use paged::Paged;
pub use rotating::Rotating;

use super::Result;
use candle_core::Tensor;
use std::fmt::Debug;

/// Keys and values of consecutive tokens, `(1, G, n, D)` each.
pub type Piece = [Tensor; 2];

/// Memory for the keys and values of new tokens, which a cache counts as its own already.
#[derive(Debug)]
pub struct Reserved {
    /// Memory of the cache, `(1, G, capacity, D)` each.
    pub stored: Piece,
    /// Place of the first new token.
    pub start: usize,
    /// What [`Cache::append`] gives.
    pub pieces: Vec<Piece>,
}

/// Keys and values that one block keeps of one sequence.
pub trait Cache: Debug + Send {
    /// Adds keys and values of new tokens, `(1, G, T, D)`, and gives those that the new tokens may
    /// see, where they lie: in the order of their positions, the new ones last. For a single token
    /// their order is free. They are valid until the cache changes again.
    ///
    /// # Errors
    /// When shapes differ from those before, or memory runs out.
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<Vec<Piece>>;

    /// Memory for `n` more tokens in one stretch, to be written in place of [`Self::append`]; `None` where
    /// the cache has no such. `like` is a tensor of keys, `(1, G, .., D)`.
    ///
    /// # Errors
    /// When shapes differ from those before, or memory runs out.
    fn reserve(&mut self, _like: &Tensor, _n: usize) -> Result<Option<Reserved>> {
        Ok(None)
    }

    /// Whether [`Self::reserve`] gives memory.
    fn reserves(&self) -> bool {
        false
    }

    /// Number of tokens that a query sees at most, of those that [`Self::append`] gives and in their order, its own included.
    fn window(&self) -> Option<usize> {
        None
    }

    /// Number of tokens so far, those that are no longer held included.
    fn len(&self) -> usize;

    /// Whether there was no token yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the tokens from position `len` on.
    ///
    /// # Errors
    /// [`super::Error::Trimmed`] when tokens that would be needed then are no longer held.
    fn trim(&mut self, len: usize) -> Result<()>;

    /// Another cache of the same tokens, which goes on for itself.
    ///
    /// # Errors
    /// When memory runs out.
    fn fork(&self) -> Result<Box<dyn Cache>>;

    /// What it holds; `None` before the first token.
    ///
    /// # Errors
    /// When memory runs out.
    fn held(&self) -> Result<Option<Held>>;
}

/// Pieces behind each other; `None` where there are none.
fn joined(pieces: &[Piece]) -> Result<Option<Piece>> {
    if pieces.is_empty() {
        return Ok(None);
    }
    let of = |i: usize| {
        let parts: Vec<_> = pieces.iter().map(|piece| &piece[i]).collect();
        Tensor::cat(&parts, 2)
    };
    Ok(Some([of(0)?, of(1)?]))
}

/// Form in which a sequence's keys and values are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheForm {
    /// One stretch of memory that grows: the fastest to read.
    #[default]
    Contiguous,
    /// Pages that forks share: the smallest where many sequences begin alike.
    Paged,
    /// The first four tokens and the last ones, so many in all, at least five: for texts longer than memory. A query sees no
    /// others. It is the form of blocks that would see every token.
    Bounded(usize),
}

/// Tokens that a bounded cache keeps from the beginning, as mlx-lm's does (`RotatingKVCache`, `keep`): models look at these whatever
/// they read (Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks").
const KEPT_TOKENS: usize = 4;

impl CacheForm {
    /// Fewest tokens of a bounded cache.
    pub const MIN_BOUND: usize = KEPT_TOKENS + 1;
}

/// Caches of all blocks for one sequence.
#[derive(Debug)]
pub struct KvCache {
    blocks: Vec<Box<dyn Cache>>,
    form: CacheForm,
    /// Number of tokens that the sequence is known to have, those that are not held yet included:
    /// rotary angles may depend on it.
    pub(super) n_expected: usize,
}

impl KvCache {
    /// An empty cache for blocks with these windows; `None` is a block that sees every token.
    #[must_use]
    pub fn new(windows: impl IntoIterator<Item = Option<usize>>, form: CacheForm) -> Self {
        let block = |window| -> Box<dyn Cache> {
            match (window, form) {
                (Some(window), _) => Box::new(Rotating::new(window)),
                (None, CacheForm::Contiguous) => Box::<Contiguous>::default(),
                (None, CacheForm::Paged) => Box::<Paged>::default(),
                (None, CacheForm::Bounded(n)) => {
                    Box::new(Rotating::keeping(KEPT_TOKENS, n.max(CacheForm::MIN_BOUND)))
                }
            }
        };
        Self {
            blocks: windows.into_iter().map(block).collect(),
            form,
            n_expected: 0,
        }
    }

    /// Number of tokens so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.len())
    }

    /// Whether there was no token yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets the tokens from position `len` on.
    ///
    /// # Errors
    /// [`super::Error::Trimmed`] when a window has moved on too far.
    pub fn trim(&mut self, len: usize) -> Result<()> {
        self.blocks.iter_mut().try_for_each(|block| block.trim(len))
    }

    /// Another cache of the same tokens.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn fork(&self) -> Result<Self> {
        let blocks = self.blocks.iter().map(|block| block.fork());
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            ..*self
        })
    }

    /// Form of the blocks that see every token, or would.
    #[must_use]
    pub fn form(&self) -> CacheForm {
        self.form
    }

    pub(super) fn block(&mut self, i: usize) -> &mut dyn Cache {
        &mut *self.blocks[i]
    }
}
