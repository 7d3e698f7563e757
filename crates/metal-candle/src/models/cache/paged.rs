use super::super::Result;
use super::Cache;
use crate::device::snapshot;
use candle_core::Tensor;
use std::sync::Arc;

/// Keys and values in pages of 64 tokens, `(1, G, 64, D)`. A fork shares the pages,
/// and copies the last one when it goes on.
#[derive(Clone, Debug, Default)]
pub struct Paged {
    pages: Vec<Arc<Page>>,
    len: usize,
}

/// Keys and values of consecutive tokens.
pub(super) type Page = [Tensor; 2];

/// Tokens of a page.
pub const PAGE_TOKENS: usize = 64;

impl Paged {
    /// The page of the next token, which no fork shares.
    fn page(&mut self, like: &Tensor) -> Result<&Page> {
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
    pub(super) fn pages(&self) -> impl Iterator<Item = &Page> {
        self.pages.iter().map(|page| &**page)
    }

    /// Keys, or values, of all tokens; one page is given as it is.
    fn all(&self, which: usize) -> Result<Tensor> {
        let pages = self.pages.iter().enumerate().map(|(i, page)| {
            let n = PAGE_TOKENS.min(self.len - i * PAGE_TOKENS);
            page[which].narrow(2, 0, n)
        });
        let pages = pages.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&pages, 2)?)
    }
}

impl Cache for Paged {
    fn append(&mut self, k: &Tensor, v: &Tensor) -> Result<(Tensor, Tensor)> {
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
        Ok((self.all(0)?, self.all(1)?))
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
}
