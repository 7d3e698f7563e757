//! Factors that begin with what the training rows vary in (Paischer, Hauzenberger, Schmied, Alkin, Deisenroth, Hochreiter
//! 2024, <https://arxiv.org/abs/2410.07170>): `A` is the principal components of a layer's inputs, `B` is zero.

mod listener;
mod pca;
mod ranks;
mod settings;
mod start;

use crate::lora::choice::{Choice, Origin};
use crate::lora::{Adapter, AdapterSet, Error, Kind, LayerInfo, LoraConfig, Plan};
use candle_core::{Tensor, TensorId};
use listener::{Heard, Listener};
use metal_candle_kernels::Result;
use pca::Pca;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use settings::Eva;
pub use start::EvaStart;

/// A linear layer that an adapter begins beside.
#[derive(Debug)]
struct Place {
    path: String,
    r: usize,
    alpha: f64,
    in_features: usize,
    /// Place whose inputs are heard for this one too: itself, or the first that has the same.
    leader: usize,
}

/// Search for the components of the inputs of a model's layers, in passes over batches of rows: first
/// [`Self::telling_apart`] and [`Self::share`], then [`Self::listening`] and [`Self::settle`] for each batch.
#[derive(Debug)]
pub struct EvaSearch {
    config: LoraConfig,
    places: Vec<Place>,
    /// Paths, ranks and alphas of adapters that begin at random: of the token embedding.
    others: Vec<(String, usize, f64)>,
    /// Ranks as far as is known.
    ranks: Vec<usize>,
    heard: Arc<Mutex<Heard>>,
}

impl EvaSearch {
    /// Search for a fresh adapter of these settings, on a model with these layers.
    ///
    /// # Errors
    /// When a setting is out of range or names no layer, or an adapter acts on two layers.
    pub fn new(config: &LoraConfig, layers: &[LayerInfo]) -> std::result::Result<Self, Error> {
        let plan = Plan::new(config, layers)?;
        let alphas = Choice::new(config, layers, Origin::Options)?.alphas()?;
        let (mut places, mut others) = (vec![], vec![]);
        for (place, alpha) in plan.placements.into_iter().zip(alphas) {
            let alpha = alpha.unwrap_or(config.alpha);
            if !place.method.has_lora() {
                continue;
            }
            if place.tied_to.is_some() {
                return Err(
                    config.beside_init("lora where one adapter is for two layers", &place.path)
                );
            }
            if place.kind == Kind::Embedding {
                others.push((place.path, place.r, alpha));
                continue;
            }
            places.push(Place {
                path: place.path,
                r: place.r,
                alpha,
                in_features: place.in_features,
                leader: places.len(),
            });
        }
        Ok(Self {
            config: config.clone(),
            ranks: vec![],
            places,
            others,
            heard: Arc::default(),
        })
    }

    /// Adapters that change nothing and hear which layers have the same input, in one pass.
    #[must_use]
    pub fn telling_apart(&self) -> Arc<AdapterSet> {
        self.listeners(|_| true)
    }

    /// End of that pass.
    ///
    /// # Errors
    /// When more components are wanted than an input is wide.
    pub fn share(&mut self) -> std::result::Result<(), Error> {
        let inputs = std::mem::take(&mut self.heard().inputs);
        let mut first: HashMap<TensorId, usize> = HashMap::new();
        for (i, place) in self.places.iter_mut().enumerate() {
            if let Some(input) = inputs.get(&place.path) {
                place.leader = *first.entry(*input).or_insert(i);
            }
        }
        let mut fits = BTreeMap::new();
        for i in self.leaders() {
            let n = self.most_components(i);
            if n > self.places[i].in_features {
                return Err(self.too_many(&self.places[i], n));
            }
            fits.insert(self.places[i].path.clone(), Pca::new(n));
        }
        self.ranks = self
            .places
            .iter()
            .map(|place| self.most_components(place.leader))
            .collect();
        self.heard().fits = fits;
        Ok(())
    }

    /// Adapters that change nothing and hear, in one pass, the inputs of the tokens in `places`, counted through all
    /// places of its layout; `None` when all components have settled.
    #[must_use]
    pub fn listening(&self, places: &[u32]) -> Option<Arc<AdapterSet>> {
        let open = self.leaders().into_iter();
        let open: Vec<usize> = open.filter(|i| !self.is_settled(*i)).collect();
        self.heard().places = Some(places.to_vec());
        (!open.is_empty()).then(|| self.listeners(|i| open.contains(&i)))
    }

    /// End of that pass: ranks go where components explain most.
    ///
    /// # Errors
    /// Never, on the CPU.
    pub fn settle(&mut self) -> Result<()> {
        if let Some(ranks) = self.ranks_by_ratio()? {
            self.ranks = ranks;
        }
        Ok(())
    }

    /// Takes the input `(.., K)` of a layer that no pass comes to.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn hear(&self, path: &str, x: &Tensor) -> Result<()> {
        self.heard().hear(path, x)
    }

    /// Most batches that are looked at.
    #[must_use]
    pub fn max_batches(&self) -> usize {
        self.config.eva.max_batches
    }

    /// Number of layers whose components have settled, and of all.
    #[must_use]
    pub fn n_settled(&self) -> (usize, usize) {
        let all = 0..self.places.len();
        (
            all.filter(|i| self.is_settled(*i)).count(),
            self.places.len(),
        )
    }

    /// Whether the last batch left the components of a layer where they were.
    fn is_settled(&self, i: usize) -> bool {
        let leader = &self.places[self.places[i].leader];
        let (heard, rank) = (self.heard(), self.ranks.get(i));
        match (heard.fits.get(&leader.path), rank) {
            (Some(fit), Some(rank)) => fit.is_settled(*rank, self.config.eva.tau),
            _ => false,
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaders(&self) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        places
            .filter(|(i, place)| *i == place.leader)
            .map(|(i, _)| i)
            .collect()
    }

    /// Components that are sought for the layers that share an input with `leader`.
    fn most_components(&self, leader: usize) -> usize {
        let sharing = self.places.iter().filter(|place| place.leader == leader);
        // As Python rounds.
        let n = |place: &Place| (place.r as f64 * self.config.eva.rho).round_ties_even() as usize;
        sharing.map(n).max().unwrap_or(0)
    }

    fn ranks_by_ratio(&self) -> Result<Option<Vec<usize>>> {
        let heard = self.heard();
        let mut ratios = vec![];
        for place in &self.places {
            let fit = heard.fits.get(&self.places[place.leader].path);
            match fit.map(Pca::ratios).transpose()?.flatten() {
                Some(of_place) => ratios.push(of_place),
                None => return Ok(None),
            }
        }
        let ratios: Vec<&[f64]> = ratios.iter().map(Vec::as_slice).collect();
        let budget = self.places.iter().map(|place| place.r).sum();
        // Those that share an input come after the layer that is heard, which has its highest rank.
        let (mut order, mut others) = (self.leaders(), vec![]);
        others.extend((0..self.places.len()).filter(|i| self.places[*i].leader != *i));
        order.extend(others);
        Ok(Some(ranks::ranks(&ratios, &order, budget)))
    }

    fn listeners(&self, hears: impl Fn(usize) -> bool) -> Arc<AdapterSet> {
        let heard = self.places.iter().enumerate().filter(|(i, _)| hears(*i));
        let listeners = heard.map(|(_, place)| {
            let listener: Arc<dyn Adapter> = Arc::new(Listener {
                path: place.path.clone(),
                heard: self.heard.clone(),
            });
            (place.path.clone(), listener)
        });
        Arc::new(AdapterSet::of(listeners.collect()))
    }

    fn too_many(&self, place: &Place, n: usize) -> Error {
        Error::Setting {
            what: "the rank times eva_rho",
            expected: "at most the width of the layer's input",
            got: format!(
                "{n} for {}, whose input is {} wide",
                place.path, place.in_features
            ),
        }
    }
}

#[cfg(test)]
mod tests;
