use super::names::{Paths, Settings};
use super::tensors::{TensorFile, Values, Wanted};
use super::{Format, find, layers, mlx, peft};
use crate::experts::Stacks;
use crate::lora::choice::Unmatched;
use crate::lora::{AdapterSet, Error, Init, LayerInfo, Linear, LoraConfig, Plan};
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An adapter as it lies on disk.
#[derive(Debug)]
pub struct AdapterFile {
    /// The tensor file.
    pub path: PathBuf,
    /// How it is kept.
    pub format: Format,
    /// The checkpoint it was trained on, as its author named it.
    pub base_model: Option<String>,
    /// How the factors began that the first half of each tensor holds, where a second half takes that away; `None`
    /// where all of a tensor was trained.
    pub(crate) init: Option<Init>,
    config_path: PathBuf,
    /// Whether pairs of layers of experts are in it of which the order of rows is not known.
    pub(super) is_of_any_order: bool,
    pub(super) settings: Box<dyn Settings>,
    pub(super) file: TensorFile,
}

/// Reads the adapter at `path`: its folder, its tensor file or its configuration.
///
/// # Errors
/// When a file is missing or damaged, or the configuration asks for something that is not built.
pub fn read(path: &Path) -> Result<AdapterFile, Error> {
    read_with(path, None)
}

/// [`read`] of an adapter for a model whose files have all experts together as `stacks` says.
///
/// # Errors
/// As [`read`].
pub fn read_for(path: &Path, stacks: Stacks) -> Result<AdapterFile, Error> {
    read_with(path, Some(stacks))
}

fn read_with(path: &Path, stacks: Option<Stacks>) -> Result<AdapterFile, Error> {
    let mut is_of_any_order = false;
    let found = find::find(path)?;
    let (config, fields) = (&found.config, &found.fields);
    let mut file = TensorFile::open(&found.tensors)?;
    let (settings, base_model): (Box<dyn Settings>, _) = match found.format {
        Format::Peft => {
            let (mut settings, base_model) = peft::settings(config, fields)?;
            settings.take_apart(&mut file, stacks.unwrap_or_default())?;
            is_of_any_order = stacks.is_none() && settings.has_pairs();
            (Box::new(settings), base_model)
        }
        Format::Mlx => {
            let (settings, base_model) = mlx::settings(config, fields)?;
            (Box::new(settings), base_model)
        }
    };
    Ok(AdapterFile {
        init: file.init()?,
        file,
        path: found.tensors,
        format: found.format,
        base_model,
        config_path: found.config,
        is_of_any_order,
        settings,
    })
}

impl AdapterFile {
    /// Settings in PEFT's terms, for a model with these layers. What they name and the model lacks is
    /// told.
    ///
    /// # Errors
    /// When what they ask for is not built.
    pub fn config(&self, layers: &[LayerInfo]) -> Result<LoraConfig, Error> {
        let config = self.settings.config(layers);
        let (config, unmatched) = config.map_err(|source| self.in_file(source))?;
        self.tell(&unmatched);
        Ok(config.for_layers(layers))
    }

    /// Places of the adapters that `config` gives on a model with these layers. What it names and the
    /// model lacks is told.
    ///
    /// # Errors
    /// When a setting is out of range, or the configuration names no layer of the model.
    pub fn plan(&self, config: &LoraConfig, layers: &[LayerInfo]) -> Result<Plan, Error> {
        let (plan, unmatched) =
            Plan::of_file(config, layers).map_err(|source| self.in_file(source))?;
        self.tell(&unmatched);
        Ok(plan)
    }

    pub(super) fn in_file(&self, source: Error) -> Error {
        Error::InFile {
            path: self.config_path.clone(),
            source: Box::new(source),
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
        let paths: Paths = layers.iter().map(|layer| layer.path().into()).collect();
        let mut values = self.values(plan, &paths, base)?;
        AdapterSet::made(plan, layers, |place, layer, other| {
            let mut take = |name: &'static str| -> Result<Var, Error> {
                let name = format!("{}.{name}", place.path);
                // Every name of the plan is there: it was checked.
                let tensor = values.remove(&name).ok_or_else(|| self.file.lost(&name))?;
                Ok(Var::from_tensor(&tensor.to_device(layer.device())?)?)
            };
            place.method.with(place, layer, other, &mut take)
        })
    }

    /// Parameters that `plan` calls for, on the CPU, of a model that has layers at `paths`.
    pub(super) fn values(
        &self,
        plan: &Plan,
        paths: &Paths,
        base: &[(String, Tensor)],
    ) -> Result<Values, Error> {
        let names = self.settings.names(paths);
        let wanted = Wanted::new(plan, &*names);
        self.file.checked(&wanted, &*names, base)
    }

    /// Layers that the adapters of the file are for, as far as its tensors tell.
    ///
    /// # Errors
    /// When what it asks for is not built.
    pub fn layers(&self) -> Result<Vec<LayerInfo>, Error> {
        let (config, _) = self.settings.config(&[])?;
        let paths = Paths::new();
        let names = self.settings.names(&paths);
        Ok(layers::of_tensors(&self.file.shapes()?, &*names, &config))
    }
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
