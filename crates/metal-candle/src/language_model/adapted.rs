use super::{Result, base_model};
use crate::lora::format::{self, Base, Portable, peft};
use crate::lora::{AdapterSet, LoraConfig, Plan};
use crate::models::Model;
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
    /// When a setting is out of range, or names no layer of the model.
    pub fn fresh(model: &Model, config: LoraConfig, seed: u64) -> Result<Self> {
        let layers = model.decoder.layer_infos()?;
        let config = config.for_layers(&layers);
        let plan = Plan::new(&config, &layers)?;
        let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), seed)?;
        let set = Arc::new(set);
        Ok(Self { config, plan, set })
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
        let file = format::read(path)?;
        if let Some(trained_on) = &file.base_model {
            base_model::tell_other(trained_on, folder, &model.raw_config);
        }
        let decoder = &model.decoder;
        let layers = decoder.layer_infos()?;
        let mut config = file.config(&layers)?;
        adjust(&mut config);
        let plan = file.plan(&config, &layers)?;
        let set = file.load(&plan, &decoder.adaptable(), &decoder.named_weights())?;
        Ok(Self {
            config,
            plan,
            set: Arc::new(set),
        })
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
        let values = self.set.parameters();
        Ok(peft::write(folder, &self.config, base_model, &values)?)
    }

    /// The adapters of `model` without it, to be written for any tool; `base_model` is what they name as
    /// the model that they are for.
    ///
    /// # Errors
    /// Never for a model that was loaded.
    pub fn portable(&self, model: &Model, base_model: &str) -> Result<Portable> {
        let layers = model.decoder.layer_infos()?;
        let values = self.set.parameters().into_iter();
        Ok(Portable {
            config: self.config.clone(),
            plan: self.plan.clone(),
            base_model: base_model.into(),
            values: values
                .map(|(name, var)| (name, var.as_detached_tensor()))
                .collect(),
            base: Some(Base {
                n_blocks: model.decoder.n_blocks(),
                is_tied: layers.iter().any(|layer| layer.tied_to.is_some()),
            }),
        })
    }
}
