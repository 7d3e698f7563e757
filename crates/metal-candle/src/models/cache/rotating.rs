use super::super::{Error, Result};
use super::{Bound, Cache, Held, Piece, joined};
use crate::device::snapshot;
use candle_core::Tensor;

/// Keys and values of the first `keep` tokens and of the last ones, `window` in all, `(1, G, window, D)`: that of position `p` is
/// held in slot `p` among the first, and else in slot `keep + (p - keep) % (window - keep)`.
#[derive(Debug)]
pub struct Rotating {
    window: usize,
    keep: usize,
    stored: Option<Piece>,
    len: usize,
    /// Position of the first token behind the kept ones whose slot was not written again.
    first_held: usize,
}

impl Rotating {
    /// An empty cache of a block whose queries see `window` tokens, their own included.
    #[must_use]
    pub fn new(window: usize) -> Self {
        Self::keeping(0, window)
    }

    /// [`Self::new`] where the first `keep` tokens, fewer than `window`, count among those: they stay where later ones go. Of new tokens
    /// that come together, a query sees `window` in the order in which they are given, the first ones or not.
    #[must_use]
    pub fn keeping(keep: usize, window: usize) -> Self {
        Self {
            window,
            keep,
            stored: None,
            len: 0,
            first_held: 0,
        }
    }

    /// A cache with this bound behind `n_tokens` tokens. `tokens` are those that it still needs, or more of them, in the order
    /// of their positions: the first ones, and the last.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn of(n_tokens: usize, tokens: &Piece, bound: Bound) -> Result<Self> {
        let mut cache = Self::keeping(bound.keep, bound.tokens);
        let stored = cache.stored(&tokens[0])?;
        let kept = n_tokens.min(bound.keep);
        cache.put_behind(&stored, tokens, kept, n_tokens)?;
        let last = (tokens[0].dim(2)? - kept).min(cache.ring());
        Ok(Self {
            stored: Some(stored),
            len: n_tokens,
            first_held: n_tokens - last,
            ..cache
        })
    }

    fn stored(&mut self, like: &Tensor) -> Result<Piece> {
        if let Some(stored) = self.stored.take() {
            return Ok(stored);
        }
        let (b, g, _, d) = like.dims4()?;
        let fresh = || Tensor::zeros((b, g, self.window, d), like.dtype(), like.device());
        Ok([fresh()?, fresh()?])
    }

    /// Slots of tokens behind the kept ones.
    fn ring(&self) -> usize {
        self.window - self.keep
    }

    /// At most `n` tokens, the kept ones and the last, in the order of their positions.
    fn last(&self, stored: &Piece, n: usize) -> Result<Vec<Piece>> {
        let n = self.len.min(n);
        let kept = n.min(self.keep);
        let [before_end, from_start] = self.slots(self.len + kept - n, n - kept);
        let parts = [(0, kept), before_end, from_start].into_iter();
        let parts = parts.filter(|(_, n)| *n > 0);
        parts.map(|(slot, n)| part(stored, slot, n)).collect()
    }

    /// First slot and number of those of `n` tokens behind the kept ones, at most all that have slots, before and behind the end
    /// of the memory.
    fn slots(&self, first: usize, n: usize) -> [(usize, usize); 2] {
        let first = first.saturating_sub(self.keep) % self.ring();
        let before_end = n.min(self.ring() - first);
        [(self.keep + first, before_end), (self.keep, n - before_end)]
    }

    /// Puts the first of the new tokens, and the last of them, into their slots.
    fn put(&self, stored: &Piece, new: &Piece) -> Result<()> {
        let t = new[0].dim(2)?;
        let kept = t.min(self.keep.saturating_sub(self.len));
        self.put_behind(stored, new, kept, self.len + t)
    }

    /// Puts the first `kept` of these tokens behind those that are there, and the last of them, of which the last one is the
    /// `len`th, into their slots.
    fn put_behind(&self, stored: &Piece, new: &Piece, kept: usize, len: usize) -> Result<()> {
        let t = new[0].dim(2)?;
        let last = (t - kept).min(self.ring());
        let mut from = 0;
        let [before_end, from_start] = self.slots(len - last, last);
        for (slot, n) in [(self.len, kept), before_end, from_start] {
            if n > 0 {
                for (stored, new) in stored.iter().zip(part(new, from, n)?) {
                    stored.slice_set(&new.contiguous()?, 2, slot)?;
                }
            }
            from = (from + n).max(t - last);
        }
        Ok(())
    }

    /// Tokens that new ones see, with them, and the memory with the last of them. The first of several still
    /// see what the last overwrite: that stays as it is.
    fn append_to(&self, stored: Piece, new: Piece) -> Result<(Vec<Piece>, Piece)> {
        if new[0].dim(2)? == 1 {
            self.put(&stored, &new)?;
            let seen = part(&stored, 0, self.window.min(self.len + 1))?;
            return Ok((vec![seen], stored));
        }
        let mut seen = self.last(&stored, self.window - 1)?;
        let stored = match seen.is_empty() {
            true => stored,
            false => [snapshot(&stored[0])?, snapshot(&stored[1])?],
        };
        self.put(&stored, &new)?;
        seen.push(new);
        Ok((seen, stored))
    }
}

/// `n` tokens from the one in `first` on.
fn part([keys, values]: &Piece, first: usize, n: usize) -> Result<Piece> {
    Ok([keys.narrow(2, first, n)?, values.narrow(2, first, n)?])
}

impl Cache for Rotating {
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<Vec<Piece>> {
        let stored = self.stored(k)?;
        let (seen, stored) = self.append_to(stored, [k.clone(), v.clone()])?;
        self.len += k.dim(2)?;
        self.first_held = self.first_held.max(self.len.saturating_sub(self.ring()));
        self.stored = Some(stored);
        Ok(seen)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn window(&self) -> Option<usize> {
        Some(self.window)
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        if len == 0 {
            (self.len, self.first_held) = (0, 0);
            return Ok(());
        }
        let first_seen = (len + 1).saturating_sub(self.ring());
        if len < self.len && first_seen.max(self.keep) < self.first_held {
            return Err(Error::Trimmed {
                len,
                first_held: self.first_held,
                window: self.window,
            });
        }
        self.len = self.len.min(len);
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn Cache>> {
        let stored = match &self.stored {
            Some([keys, values]) => Some([snapshot(keys)?, snapshot(values)?]),
            None => None,
        };
        Ok(Box::new(Self { stored, ..*self }))
    }

    /// Tokens of all slots: the next one sees all of them but one.
    fn held(&self) -> Result<Option<Held>> {
        let Some(stored) = &self.stored else {
            return Ok(None);
        };
        let tokens = joined(&self.last(stored, self.window)?)?;
        Ok(tokens.map(|tokens| Held {
            n_tokens: self.len,
            tokens,
            bound: Some(Bound {
                tokens: self.window,
                keep: self.keep,
            }),
        }))
    }
}
