use super::Result;
use candle_core::Tensor;

/// Keys and values of the tokens so far, for every block.
#[derive(Debug)]
pub struct KvCache {
    blocks: Vec<BlockCache>,
}

impl KvCache {
    /// An empty cache for a model of `n_blocks`.
    #[must_use]
    pub fn new(n_blocks: usize) -> Self {
        Self {
            blocks: (0..n_blocks).map(|_| BlockCache::default()).collect(),
        }
    }

    /// Number of tokens held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.first().map_or(0, |block| block.len)
    }

    /// Whether no token is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn block(&mut self, i: usize) -> Option<&mut BlockCache> {
        self.blocks.get_mut(i)
    }
}

/// Keys and values of one block, `(B, G, capacity, D)`, of which the first `len` are in use.
#[derive(Debug, Default)]
pub(super) struct BlockCache {
    stored: Option<(Tensor, Tensor)>,
    len: usize,
}

/// Room is made for this many tokens at least, and doubled when it runs out.
const FIRST_CAPACITY_TOKENS: usize = 256;

impl BlockCache {
    /// Adds the keys and values of new tokens, `(B, G, T, D)`, and gives those of all.
    pub(super) fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
        let new = k.dim(2)?;
        let (keys, values) = self.with_room(k, self.len + new)?;
        keys.slice_set(&k.contiguous()?, 2, self.len)?;
        values.slice_set(&v.contiguous()?, 2, self.len)?;
        self.len += new;
        let all = (keys.narrow(2, 0, self.len)?, values.narrow(2, 0, self.len)?);
        self.stored = Some((keys, values));
        Ok(all)
    }

    fn with_room(&mut self, like: &Tensor, len: usize) -> Result<(Tensor, Tensor)> {
        let stored = self.stored.take();
        let held = match &stored {
            Some((keys, _)) => keys.dim(2)?,
            None => 0,
        };
        match stored {
            Some(stored) if len <= held => Ok(stored),
            stored => self.grown(stored, like, len.max(2 * held).max(FIRST_CAPACITY_TOKENS)),
        }
    }

    fn grown(
        &self,
        stored: Option<(Tensor, Tensor)>,
        like: &Tensor,
        capacity: usize,
    ) -> Result<(Tensor, Tensor)> {
        let (b, g, _, d) = like.dims4()?;
        let fresh = || Tensor::zeros((b, g, capacity, d), like.dtype(), like.device());
        let (keys, values) = (fresh()?, fresh()?);
        if let Some((old_keys, old_values)) = stored {
            keys.slice_set(&old_keys.narrow(2, 0, self.len)?.contiguous()?, 2, 0)?;
            values.slice_set(&old_values.narrow(2, 0, self.len)?.contiguous()?, 2, 0)?;
        }
        Ok((keys, values))
    }
}
