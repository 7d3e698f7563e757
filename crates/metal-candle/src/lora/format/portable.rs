use super::AdapterFile;
use crate::experts::{self, Stacks};
use crate::lora::{Error, Kind, LoraConfig, Method, Plan};
use candle_core::Tensor;

/// An adapter without its model: what files of every format are written from.
#[derive(Debug)]
pub struct Portable {
    /// Its settings.
    pub config: LoraConfig,
    /// Its places.
    pub plan: Plan,
    /// The model that it is for, as its author named it.
    pub base_model: String,
    /// Its parameters by name, float32.
    pub values: Vec<(String, Tensor)>,
    /// What is known of that model.
    pub base: Option<Base>,
}

/// Facts of a model that a format may have to know.
#[derive(Clone, Copy, Debug)]
pub struct Base {
    /// Number of its blocks.
    pub n_blocks: usize,
    /// Whether its output head is the token embedding.
    pub is_tied: bool,
    /// Experts of each of its mixtures; 0 where it has none.
    pub n_experts: usize,
    /// Order in which files have its experts together.
    pub stacks: Stacks,
}

impl AdapterFile {
    /// The adapter as its files tell of it, every tensor accounted for. Its base is not known, so
    /// that an adapter on the token embedding, which may be the output head too, cannot be taken from
    /// one tool to another: [`crate::language_model::Adapted::portable`] can.
    ///
    /// # Errors
    /// When tensors are missing, unexpected, misshaped or unusable; on an adapter of the token
    /// embedding, or one that PEFT trained beside changed weights.
    pub fn portable(&self) -> Result<Portable, Error> {
        let layers = self.layers()?;
        let config = self.config(&layers)?;
        if config.init.is_of_weight() {
            let init = config.init.name();
            return Err(Error::OfWeights { init });
        }
        let plan = self.plan(&config, &layers)?;
        let mut ends = plan.placements.iter();
        let is_unclear = |kind, method| kind == Kind::Embedding && method != Method::Whole;
        if let Some(place) = ends.find(|place| is_unclear(place.kind, place.method)) {
            let path = place.path.clone();
            return Err(Error::WhichModel { path });
        }
        if self.is_of_any_order {
            let mut places = plan.placements.iter();
            let of_expert = places.find(|place| experts::number(&place.path).is_some());
            let path = of_expert
                .map(|place| place.path.clone())
                .unwrap_or_default();
            return Err(Error::WhichExperts { path });
        }
        let paths = layers.into_iter().map(|layer| layer.path).collect();
        let values = self.values(&plan, &paths, &[])?;
        Ok(Portable {
            config,
            plan,
            base_model: self.base_model.clone().unwrap_or_default(),
            values: values.into_iter().collect(),
            base: None,
        })
    }
}
