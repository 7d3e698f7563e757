use super::super::Result;
use super::{Cache, Held, Piece, joined};
use crate::device::snapshot;
use candle_core::Tensor;
use std::sync::Arc;

/// Keys and values in pages of 64 tokens, `(1, G, 64, D)`. A fork shares the pages,
/// and copies the last one when it goes on.
#[derive(Clone, Debug, Default)]
pub struct Paged {
    pages: Vec<Arc<Piece>>,
    len: usize,
}

/// Tokens of a page.
pub const PAGE_TOKENS: usize = 64;

impl Paged {
    /// The page of the next token, which no fork shares.
    fn page(&mut self, like: &Tensor) -> Result<&Piece> {
        let i = self.len / PAGE_TOKENS;
        if i == self.pages.len() {
            let (b, g, _, d) = like.dims4()?;
            let fresh = || Tensor::zeros((b, g, PAGE_TOKENS, d), like.dtype(), like.device());
            self.pages.push(Arc::new([fresh()?, fresh()?]));
        }
        let page = &mut self.pages[i];
        if Arc::get_mut(page).is_none() {
            let [keys, values] = &**page;
            *page = Arc::new([snapshot(keys)?, snapshot(values)?]);
        }
        Ok(page)
    }

    #[cfg(test)]
    pub(super) fn pages(&self) -> impl Iterator<Item = &Piece> {
        self.pages.iter().map(|page| &**page)
    }

    /// Tokens in use of every page.
    fn all(&self) -> Result<Vec<Piece>> {
        let pages = self.pages.iter().zip((0..self.len).step_by(PAGE_TOKENS));
        let pages = pages.map(|(page, first)| {
            let n = PAGE_TOKENS.min(self.len - first);
            let [keys, values] = &**page;
            Ok([keys.narrow(2, 0, n)?, values.narrow(2, 0, n)?])
        });
        pages.collect()
    }
}

impl Cache for Paged {
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<Vec<Piece>> {
        let (t, mut done) = (k.dim(2)?, 0);
        while done < t {
            let slot = self.len % PAGE_TOKENS;
            let n = (t - done).min(PAGE_TOKENS - slot);
            for (page, new) in self.page(k)?.iter().zip([k, v]) {
                page.slice_set(&new.narrow(2, done, n)?.contiguous()?, 2, slot)?;
            }
            self.len += n;
            done += n;
        }
        self.all()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn trim(&mut self, len: usize) -> Result<()> {
        self.len = self.len.min(len);
        self.pages.truncate(self.len.div_ceil(PAGE_TOKENS));
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn Cache>> {
        Ok(Box::new(self.clone()))
    }

    fn held(&self) -> Result<Option<Held>> {
        Ok(joined(&self.all()?)?.map(|tokens| Held {
            n_tokens: self.len,
            tokens,
            bound: None,
        }))
    }
}
