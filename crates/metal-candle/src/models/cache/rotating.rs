use super::super::{Error, Result};
use super::Cache;
use crate::device::snapshot;
use candle_core::Tensor;

/// Keys and values of the last `window` tokens, `(1, G, window, D)`: that of position `p` is held in
/// slot `p % window`.
#[derive(Debug)]
pub struct Rotating {
    window: usize,
    stored: Option<[Tensor; 2]>,
    len: usize,
    /// Position of the first token whose slot was not written again.
    first_held: usize,
}

impl Rotating {
    /// An empty cache of a block whose queries see `window` tokens, their own included.
    #[must_use]
    pub fn new(window: usize) -> Self {
        Self {
            window,
            stored: None,
            len: 0,
            first_held: 0,
        }
    }

    fn stored(&mut self, like: &Tensor) -> Result<[Tensor; 2]> {
        if let Some(stored) = self.stored.take() {
            return Ok(stored);
        }
        let (b, g, _, d) = like.dims4()?;
        let fresh = || Tensor::zeros((b, g, self.window, d), like.dtype(), like.device());
        Ok([fresh()?, fresh()?])
    }

    /// The tokens that the next one still sees, in the order of their positions.
    fn held(&self, stored: &Tensor) -> Result<Vec<Tensor>> {
        let held = self.len.min(self.window - 1);
        let first = (self.len - held) % self.window;
        let before_wrap = held.min(self.window - first);
        let parts = [(first, before_wrap), (0, held - before_wrap)];
        let parts = parts.into_iter().filter(|(_, n)| *n > 0);
        Ok(parts
            .map(|(slot, n)| stored.narrow(2, slot, n))
            .collect::<candle_core::Result<_>>()?)
    }

    /// Puts the last of the new tokens into their slots.
    fn put(&self, stored: &Tensor, new: &Tensor) -> Result<()> {
        let t = new.dim(2)?;
        let kept = t.min(self.window);
        let first = (self.len + t - kept) % self.window;
        let before_wrap = kept.min(self.window - first);
        for (slot, from, n) in [
            (first, t - kept, before_wrap),
            (0, t - kept + before_wrap, kept - before_wrap),
        ] {
            if n > 0 {
                stored.slice_set(&new.narrow(2, from, n)?.contiguous()?, 2, slot)?;
            }
        }
        Ok(())
    }

    /// What new tokens see, with them.
    fn append_to(&self, stored: &Tensor, new: &Tensor) -> Result<Tensor> {
        if new.dim(2)? == 1 {
            self.put(stored, new)?;
            return Ok(stored.narrow(2, 0, self.window.min(self.len + 1))?);
        }
        let mut parts = self.held(stored)?;
        parts.push(new.clone());
        let seen = Tensor::cat(&parts, 2)?;
        self.put(stored, new)?;
        Ok(seen)
    }
}

impl Cache for Rotating {
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
        let [keys, values] = self.stored(k)?;
        let seen = (self.append_to(&keys, k)?, self.append_to(&values, v)?);
        self.len += k.dim(2)?;
        self.first_held = self.first_held.max(self.len.saturating_sub(self.window));
        self.stored = Some([keys, values]);
        Ok(seen)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        if len == 0 {
            (self.len, self.first_held) = (0, 0);
            return Ok(());
        }
        let first_seen = (len + 1).saturating_sub(self.window);
        if len < self.len && first_seen < self.first_held {
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
}
