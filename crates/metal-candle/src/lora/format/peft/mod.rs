//! Adapters as PEFT reads and writes them: a folder with `adapter_config.json` and
//! `adapter_model.safetensors` (`huggingface/peft`, `tuners/lora/config.py` and
//! `utils/save_and_load.py`).
//!
//! A field that changes the mathematics and is not built is refused by name.

mod config;
mod fields;
mod keys;
mod parameters;
mod resolved;
mod ties;
mod types;

use super::json::Fields;
use super::names::{self, Names, Paths};
use super::tensors::TensorFile;
use super::{Format, Inexpressible, Portable, halves};
use crate::experts::{self, Stacks};
use crate::files;
use crate::lora::choice::Unmatched;
use crate::lora::{Error, LayerInfo, LoraConfig};
use candle_core::Tensor;
use parameters::Parameters;
use serde_json::{Map, Value};
use std::ops::Deref;
use std::path::Path;

pub(super) const TENSORS: &str = "adapter_model.safetensors";

/// Settings of a folder.
#[derive(Debug)]
pub(super) struct Settings {
    config: LoraConfig,
    parameters: Option<Parameters>,
    /// Beginnings of tensors without effect.
    ignored: Vec<&'static str>,
}

/// Reads the fields `all` of the file at `path`, and the base model that it names.
///
/// # Errors
/// When it asks for something that is not built.
pub(super) fn settings(
    path: &Path,
    all: &Map<String, Value>,
) -> Result<(Settings, Option<String>), Error> {
    fields::check(path, all)?;
    let fields = Fields { path, all };
    let settings = Settings {
        config: config::read(&fields)?,
        parameters: config::parameters(&fields)?,
        ignored: fields::ignored(all),
    };
    Ok((settings, fields.optional("base_model_name_or_path")?))
}

impl Settings {
    /// Takes tensors of all experts apart, where the adapter has any.
    ///
    /// # Errors
    /// When what it asks for is not built, or the file is damaged.
    pub(super) fn take_apart(
        &mut self,
        file: &mut TensorFile,
        stacks: Stacks,
    ) -> Result<(), Error> {
        match &self.parameters {
            Some(parameters) => parameters.apart(&mut self.config, file, stacks),
            None => Ok(()),
        }
    }

    /// Whether tensors hold two layers of all experts, whose order the model tells.
    pub(super) fn has_pairs(&self) -> bool {
        self.parameters.as_ref().is_some_and(Parameters::has_pairs)
    }
}

impl names::Settings for Settings {
    fn config(&self, _: &[LayerInfo]) -> Result<(LoraConfig, Vec<Unmatched>), Error> {
        Ok((self.config.clone(), vec![]))
    }

    fn names<'a>(&'a self, paths: &'a Paths) -> Box<dyn Names + 'a> {
        let settings = self;
        Box::new(keys::Names { settings, paths })
    }
}

/// Writes an adapter folder that PEFT loads, for whatever model.
///
/// # Errors
/// When experts are adapted whose model is not known, or is of a family that PEFT has no such layers of. When the folder cannot
/// be written.
pub fn write_portable(folder: &Path, adapter: &Portable) -> Result<(), Error> {
    check_experts(adapter)?;
    let values = adapter.values.iter();
    let values: Vec<(String, &Tensor)> =
        values.map(|(name, value)| (name.clone(), value)).collect();
    write(folder, &adapter.config, &adapter.base_model, &values)
}

fn check_experts(adapter: &Portable) -> Result<(), Error> {
    let paths = adapter.plan.placements.iter().map(|place| &place.path);
    let is_part = |path: &&String| experts::number(path).is_some() || path.ends_with(".mlp.router");
    let Some(path) = paths.clone().find(is_part).cloned() else {
        return Ok(());
    };
    match adapter.base.map(|base| base.stacks) {
        Some(Stacks::Rows) => Ok(()),
        Some(Stacks::Columns) => Err(Error::Inexpressible {
            tool: Format::Peft.tool(),
            reasons: vec![Inexpressible::Experts { path }],
        }),
        None => Err(Error::WhichExperts { path }),
    }
}

/// Writes an adapter folder that PEFT loads; each file appears whole or not at all. `values` are the
/// tensors by name as [`crate::lora::AdapterSet::stored`] gives them.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(
    folder: &Path,
    config: &LoraConfig,
    base_model: &str,
    values: &[(String, impl Deref<Target = Tensor>)],
) -> Result<(), Error> {
    files::make_folder(folder)?;
    let values = values.iter();
    let mut values: Vec<(String, Tensor)> = values
        .map(|(name, value)| (name.clone(), value.detach()))
        .collect();
    if config.ensure_weight_tying {
        values.extend(ties::copies(&values)?);
    }
    let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
    let fields = config::on_disk(&resolved::for_disk(&config.plain(), &names), base_model);
    let named = values.into_iter();
    let named = named.map(|(name, value)| (keys::on_disk(&name), value));
    let mark = halves::mark(config.init);
    files::write_marked_tensors(&folder.join(TENSORS), named.collect(), mark)?;
    Ok(files::write_json(
        &folder.join(super::find::CONFIG),
        &fields,
    )?)
}
