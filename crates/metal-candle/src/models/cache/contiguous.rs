use super::super::Result;
use super::{Cache, Held, Piece, Reserved};
use crate::device::snapshot;
use candle_core::Tensor;

/// Keys and values in one stretch, `(1, G, capacity, D)`, of which the first `len` tokens are in use.
#[derive(Debug, Default)]
pub struct Contiguous {
    stored: Option<[Tensor; 2]>,
    len: usize,
}

/// Room is made for this many tokens at least, and doubled when it runs out.
const FIRST_CAPACITY_TOKENS: usize = 256;

impl Cache for Contiguous {
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<Vec<Piece>> {
        let Reserved {
            stored,
            start,
            pieces,
        } = self.room(k, k.dim(2)?)?;
        for (stored, new) in stored.iter().zip([k, v]) {
            stored.slice_set(&new.contiguous()?, 2, start)?;
        }
        Ok(pieces)
    }

    fn reserve(&mut self, like: &Tensor, n: usize) -> Result<Option<Reserved>> {
        self.room(like, n).map(Some)
    }

    fn reserves(&self) -> bool {
        true
    }

    fn len(&self) -> usize {
        self.len
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        self.len = self.len.min(len);
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn Cache>> {
        let stored = match &self.stored {
            Some([keys, values]) => Some([snapshot(keys)?, snapshot(values)?]),
            None => None,
        };
        Ok(Box::new(Self {
            stored,
            len: self.len,
        }))
    }

    fn held(&self) -> Result<Option<Held>> {
        let Some([keys, values]) = &self.stored else {
            return Ok(None);
        };
        let tokens = [keys.narrow(2, 0, self.len)?, values.narrow(2, 0, self.len)?];
        Ok(Some(Held {
            n_tokens: self.len,
            tokens,
            bound: None,
        }))
    }
}

impl Contiguous {
    /// A cache of these tokens, which go on to be the caller's.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn of([keys, values]: &Piece) -> Result<Self> {
        Ok(Self {
            stored: Some([snapshot(keys)?, snapshot(values)?]),
            len: keys.dim(2)?,
        })
    }

    fn room(&mut self, like: &Tensor, n: usize) -> Result<Reserved> {
        let stored = self.with_room(like, self.len + n)?;
        let start = self.len;
        self.len += n;
        let [keys, values] = &stored;
        let all = [keys.narrow(2, 0, self.len)?, values.narrow(2, 0, self.len)?];
        self.stored = Some(stored.clone());
        Ok(Reserved {
            stored,
            start,
            pieces: vec![all],
        })
    }

    fn with_room(&mut self, like: &Tensor, len: usize) -> Result<[Tensor; 2]> {
        let held = match &self.stored {
            Some([keys, _]) => keys.dim(2)?,
            None => 0,
        };
        match self.stored.take() {
            Some(stored) if len <= held => Ok(stored),
            stored => self.grown(stored, like, len.max(2 * held).max(FIRST_CAPACITY_TOKENS)),
        }
    }

    fn grown(
        &self,
        stored: Option<[Tensor; 2]>,
        like: &Tensor,
        capacity: usize,
    ) -> Result<[Tensor; 2]> {
        let (b, g, _, d) = like.dims4()?;
        let fresh = || Tensor::zeros((b, g, capacity, d), like.dtype(), like.device());
        let grown = [fresh()?, fresh()?];
        for (grown, old) in grown.iter().zip(stored.iter().flatten()) {
            grown.slice_set(&old.narrow(2, 0, self.len)?.contiguous()?, 2, 0)?;
        }
        Ok(grown)
    }
}
