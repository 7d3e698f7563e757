use super::EvaSearch;
use crate::lora::methods::factor_a;
use crate::lora::{AdapterSet, Error, LoraConfig, Targets};
use candle_core::{DType, Tensor};

/// Beginning of an adapter: its settings with the ranks that were found, and `A` of its layers.
#[derive(Debug)]
pub struct EvaStart {
    /// Settings of the adapter. Ranks other than `r` are in `rank_pattern`, and `alpha_pattern` keeps the factors as they
    /// were; a layer of rank 0 is no target any more.
    pub config: LoraConfig,
    /// Paths of layers, and their components, `(R, K)` in float64.
    components: Vec<(String, Tensor)>,
}

/// Rank and alpha of an adapter.
struct Strength<'a> {
    path: &'a str,
    r: usize,
    alpha: f64,
}

impl EvaSearch {
    /// Beginning that the batches so far come to.
    ///
    /// # Errors
    /// When no batch had as many tokens that count as there are components.
    pub fn start(&self) -> Result<EvaStart, Error> {
        let heard = self.heard();
        let mut components = vec![];
        for (place, rank) in self.places.iter().zip(&self.ranks) {
            let path = &self.places[place.leader].path;
            let Some(all) = heard.fits.get(path).and_then(|fit| fit.components()) else {
                let (most, n) = heard
                    .fits
                    .get(path)
                    .map_or((0, 0), |fit| (fit.most_rows(), fit.n()));
                return Err(Error::Setting {
                    what: "the number of trained tokens in a batch, for eva,",
                    expected: "at least the rank times eva_rho",
                    got: format!("at most {most} for {n}"),
                });
            };
            if *rank > 0 {
                components.push((place.path.clone(), all.narrow(0, 0, *rank)?));
            }
        }
        Ok(EvaStart {
            config: self.with_ranks(),
            components,
        })
    }

    /// Settings by which every layer has its rank.
    fn with_ranks(&self) -> LoraConfig {
        let found = self.places.iter().zip(&self.ranks);
        let found = found.map(|(place, r)| Strength {
            path: &place.path,
            r: *r,
            alpha: match *r == place.r {
                true => place.alpha,
                false => place.alpha * (*r as f64 / place.r as f64),
            },
        });
        let others = self.others.iter().map(|(path, r, alpha)| Strength {
            path,
            r: *r,
            alpha: *alpha,
        });
        let (left, out): (Vec<_>, Vec<_>) = found.chain(others).partition(|s| s.r > 0);
        let mut config = self.config.clone();
        let name = |s: &Strength<'_>| s.path.to_string();
        if !out.is_empty() {
            config.targets = Targets::Names(left.iter().map(name).collect());
        }
        let ranks = left.iter().filter(|s| s.r != config.r);
        let ranks: Vec<_> = ranks.map(|s| (name(s), s.r)).collect();
        let alphas = left.iter().filter(|s| s.alpha != config.alpha);
        let alphas: Vec<_> = alphas.map(|s| (name(s), s.alpha)).collect();
        (config.rank_pattern, config.alpha_pattern) = (ranks, alphas);
        config
    }
}

impl EvaStart {
    /// Gives the fresh adapters of [`Self::config`] their beginning.
    ///
    /// # Errors
    /// When the set is another one, or memory runs out.
    pub fn begin(&self, set: &AdapterSet) -> Result<(), Error> {
        for (path, components) in &self.components {
            let Some(a) = set.get(path).and_then(factor_a) else {
                return Err(Error::NoLayer { path: path.clone() });
            };
            a.set(
                &components
                    .to_dtype(DType::F32)?
                    .contiguous()?
                    .to_device(a.device())?,
            )?;
        }
        Ok(())
    }

    /// Lowest and highest rank, and number of layers.
    #[must_use]
    pub fn ranks(&self) -> (usize, usize, usize) {
        let ranks = self.components.iter().map(|(_, t)| t.dims()[0]);
        let (min, max) = (ranks.clone().min(), ranks.max());
        (min.unwrap_or(0), max.unwrap_or(0), self.components.len())
    }
}
