//! Adapters as PEFT reads and writes them: a folder with `adapter_config.json` and
//! `adapter_model.safetensors` (`huggingface/peft`, `tuners/lora/config.py` and
//! `utils/save_and_load.py`).
//!
//! Reading is strict: a field that changes the mathematics and is not built is refused by name,
//! and every tensor must be one that the configuration calls for, in its shape. Shapes are compared
//! before anything is allocated, and the tensors of the file become the parameters.

mod check;
mod config;
mod copies;
mod fields;
mod find;
mod keys;
mod resolved;
mod tensors;

use crate::files;
use crate::lora::choice::Unmatched;
use crate::lora::{AdapterSet, Error, LayerInfo, Linear, LoraConfig, Plan};
use candle_core::{Tensor, Var};
use keys::Known;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tensors::{TensorFile, Wanted};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// An adapter as it lies in a folder.
#[derive(Debug)]
pub struct PeftFolder {
    /// The tensor file.
    pub path: PathBuf,
    /// Its settings.
    pub config: LoraConfig,
    /// The checkpoint it was trained on, as its author named it.
    pub base_model: Option<String>,
    config_path: PathBuf,
    ties_weights: bool,
    ignored: Vec<&'static str>,
    file: TensorFile,
}

/// Reads an adapter folder, or a tensor file with `adapter_config.json` beside it.
///
/// # Errors
/// When a file is missing or damaged, or the configuration asks for something that is not built.
pub fn read(path: &Path) -> Result<PeftFolder, Error> {
    let found = find::find(path)?;
    let read = config::read(&found.config)?;
    Ok(PeftFolder {
        file: TensorFile::open(&found.tensors)?,
        path: found.tensors,
        config: read.config,
        base_model: read.base_model,
        config_path: found.config,
        ties_weights: read.ties_weights,
        ignored: read.ignored,
    })
}

impl PeftFolder {
    /// Places of the adapters on a model with these layers. What the configuration names and the
    /// model lacks is told.
    ///
    /// # Errors
    /// When a setting is out of range, or the configuration names no layer of the model.
    pub fn plan(&self, layers: &[LayerInfo]) -> Result<Plan, Error> {
        let in_file = |source| Error::InFile {
            path: self.config_path.clone(),
            source: Box::new(source),
        };
        let (plan, unmatched) = Plan::of_file(&self.config, layers).map_err(in_file)?;
        self.tell(&unmatched);
        match plan.outside_blocks(layers) {
            Some(path) if self.ties_weights => Err(in_file(Error::NotBuilt {
                path,
                what: "ensure_weight_tying",
            })),
            _ => Ok(plan),
        }
    }

    fn tell(&self, unmatched: &[Unmatched]) {
        let mut by_setting: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Unmatched { what, pattern } in unmatched {
            by_setting.entry(what).or_default().push(pattern);
        }
        for (what, patterns) in by_setting {
            let (path, names) = (self.config_path.display(), shown(&patterns));
            tracing::warn!("{path}: {what} names what this model does not have: {names}");
        }
    }

    /// Adapters that `plan` places, with the tensors of the file as parameters. `layers` are those
    /// of the model, and `base` its weights by name: an adapter file may repeat them.
    ///
    /// # Errors
    /// When a tensor is missing, unexpected, misshaped or unusable: all of them are listed.
    pub fn load<'a>(
        &self,
        plan: &Plan,
        layers: impl IntoIterator<Item = &'a Linear>,
        base: &[(String, Tensor)],
    ) -> Result<AdapterSet, Error> {
        let layers = Vec::from_iter(layers);
        let known = Known {
            paths: layers.iter().map(|layer| layer.path().into()).collect(),
            ignored: &self.ignored,
        };
        let wanted = Wanted::of_plan(plan);
        let mut values = self.file.checked(&wanted, &known, base)?;
        AdapterSet::made(plan, layers, |place, layer| {
            let mut take = |name: &'static str| -> Result<Var, Error> {
                let name = format!("{}.{name}", place.path);
                // Every name of the plan is there: it was checked.
                let tensor = values.remove(&name).ok_or_else(|| self.file.lost(&name))?;
                Ok(Var::from_tensor(&tensor.to_device(layer.device())?)?)
            };
            place.method.with(place, layer, &mut take)
        })
    }
}

/// Copies the tensors of a folder into `parameters`, the adapters that its configuration gives on
/// a model.
///
/// # Errors
/// When a tensor is missing, unexpected or misshaped: all of them are listed, nothing is copied.
pub fn load_into(folder: &PeftFolder, parameters: &[(String, Var)]) -> Result<(), Error> {
    let known = Known {
        paths: keys::paths(parameters),
        ignored: &folder.ignored,
    };
    let wanted = Wanted::of_parameters(parameters);
    let values = folder.file.checked(&wanted, &known, &[])?;
    for (name, var) in parameters {
        if let Some(tensor) = values.get(name) {
            var.set(&tensor.to_device(var.device())?)?;
        }
    }
    Ok(())
}

/// Writes an adapter folder that PEFT loads; each file appears whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(
    folder: &Path,
    config: &LoraConfig,
    base_model: &str,
    parameters: &[(String, Var)],
) -> Result<(), Error> {
    files::make_folder(folder)?;
    files::write_tensors(&folder.join(TENSORS), tensors::on_disk(parameters))?;
    let config = resolved::for_disk(config, parameters);
    files::write_json(&folder.join(CONFIG), &config::on_disk(&config, base_model))?;
    Ok(())
}

/// The first names of a list, and how many are left.
fn shown(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let first = names
        .iter()
        .take(SHOWN)
        .map(|name| crate::lora::shortened(name));
    let first = Vec::from_iter(first).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
