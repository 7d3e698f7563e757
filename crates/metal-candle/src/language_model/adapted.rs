use super::{Result, base_model};
use crate::data::TrainedPlaces;
use crate::experts;
use crate::lora::format::{self, Base, Portable, peft};
use crate::lora::{AdapterSet, EvaSearch, Init, LayerInfo, LoraConfig, Placement, Plan};
use crate::models::Model;
use crate::train::{EvaProgress, eva};
use std::path::Path;
use std::sync::Arc;

/// Adapters of a model, with the settings that their files hold.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// What the adapters are.
    pub config: LoraConfig,
    /// The layers that they are for.
    pub plan: Plan,
    /// Their values by layer.
    pub set: Arc<AdapterSet>,
}

impl Adapted {
    /// Fresh adapters of `model`, which change nothing before they are trained; `seed` fixes their
    /// values.
    ///
    /// # Errors
    /// When a setting is out of range, or names no layer of the model; where the adapters begin with rows, which
    /// [`Self::eva`] takes.
    pub fn fresh(model: &Model, config: LoraConfig, seed: u64) -> Result<Self> {
        config.check_without_rows()?;
        let layers = model.decoder.layer_infos()?;
        let config = config.for_layers(&layers);
        let plan = Plan::new(&config, &layers)?;
        let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), seed)?;
        let set = Arc::new(set);
        Ok(Self { config, plan, set })
    }

    /// Fresh adapters of `model` that begin with what the inputs of its layers vary in ([`Init::Eva`]), at the trained tokens
    /// of `batches`; they change nothing before they are trained. `observe` is told every batch.
    ///
    /// # Errors
    /// When a setting is out of range, or names no layer of the model; when there are too few tokens; those of [`eva`].
    pub fn eva(
        model: &Model,
        config: LoraConfig,
        batches: impl IntoIterator<Item = TrainedPlaces>,
        seed: u64,
        observe: &mut dyn FnMut(EvaProgress),
    ) -> Result<(Self, EvaProgress)> {
        let decoder = &model.decoder;
        let layers = decoder.layer_infos()?;
        let mut search = EvaSearch::new(&config.for_layers(&layers), &layers)?;
        let progress = eva(decoder, &mut search, batches, observe)?;
        let start = search.start()?;
        let plan = Plan::new(&start.config, &layers)?;
        let set = AdapterSet::fresh(&plan, &decoder.adaptable(), seed)?;
        start.begin(&set)?;
        let (config, set) = (start.config, Arc::new(set));
        Ok((Self { config, plan, set }, progress))
    }

    /// Reads an adapter of any [`format::Format`], a folder or the tensor file in one, for `model`, which
    /// was read from `folder`. `adjust` may change its settings before. That it was trained on another
    /// model is told.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the model.
    pub fn read(
        path: &Path,
        model: &Model,
        folder: &Path,
        adjust: impl FnOnce(&mut LoraConfig),
    ) -> Result<Self> {
        let file = format::read_for(path, model.config.stacks())?;
        if let Some(trained_on) = &file.base_model {
            base_model::tell_other(trained_on, folder, &model.raw_config);
        }
        let decoder = &model.decoder;
        let layers = decoder.layer_infos()?;
        let mut config = file.config(&layers)?;
        adjust(&mut config);
        let plan = file.plan(&config, &layers)?;
        let set = file.load(&plan, &decoder.adaptable(), &decoder.named_weights())?;
        let read = Self {
            config,
            plan,
            set: Arc::new(set),
        };
        match file.init {
            Some(init) => read.with_init(init, model),
            None => Ok(read),
        }
    }

    /// Adapters whose factors began as parts of the weights of `model`, from the plain ones that a file holds of them.
    fn with_init(&self, init: Init, model: &Model) -> Result<Self> {
        let config = self.config.with_init(init)?;
        let placements = self.plan.placements.iter();
        let placements = placements.map(|place| place.with_init(init)).collect();
        let plan = Plan { placements };
        let set = self.set.with_init(&plan, &model.decoder.adaptable())?;
        let set = Arc::new(set);
        Ok(Self { config, plan, set })
    }

    /// The adapters as they are now, to compute with.
    ///
    /// # Errors
    /// When the model lacks a layer of them, or memory runs out.
    pub fn frozen(&self, model: &Model) -> Result<Arc<AdapterSet>> {
        Ok(Arc::new(self.set.frozen(&model.decoder.adaptable())?))
    }

    /// Writes a PEFT folder; `base_model` is what it names as the model it is for.
    ///
    /// # Errors
    /// When the folder cannot be written; each file appears whole or not at all.
    pub fn save(&self, folder: &Path, base_model: &str) -> Result<()> {
        let values = self.set.stored()?;
        let values: Vec<_> = values.iter().map(|(name, t)| (name.clone(), t)).collect();
        Ok(peft::write(folder, &self.config, base_model, &values)?)
    }

    /// The adapters of `model` without it, to be written for any tool; `base_model` is what they name as
    /// the model that they are for.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn portable(&self, model: &Model, base_model: &str) -> Result<Portable> {
        let layers = model.decoder.layer_infos()?;
        let placements = self.plan.placements.iter().map(Placement::plain);
        Ok(Portable {
            config: self.config.plain(),
            plan: Plan {
                placements: placements.collect(),
            },
            base_model: base_model.into(),
            values: self.set.stored()?,
            base: Some(Base {
                n_blocks: model.decoder.n_blocks(),
                is_tied: layers.iter().any(|layer| layer.tied_to.is_some()),
                n_experts: n_experts(&layers),
                stacks: model.config.stacks(),
            }),
        })
    }
}

/// Experts of each mixture.
fn n_experts(layers: &[LayerInfo]) -> usize {
    let numbers = layers.iter().map(|layer| experts::number(&layer.path));
    numbers.flatten().max().map_or(0, |last| last + 1)
}
