//! The tensor file of an adapter.

use super::check::Check;
use super::halves;
use super::names::{Copied, Names};
use super::stacked::{self, Parts};
use crate::files;
use crate::lora::{Error, Init, Plan, shortened};
use candle_core::Tensor;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A tensor file in memory, as it is on disk but for experts, each of which has tensors of its own here.
pub(super) struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "TensorFile({}, {} bytes)",
            self.path.display(),
            self.bytes.len()
        )
    }
}

/// Parameters that a model calls for.
pub(super) struct Wanted {
    /// Their shapes, by name.
    pub(super) shapes: BTreeMap<String, Vec<usize>>,
    /// Tensors that a file may hold a second time, by the names of these copies.
    pub(super) copied: BTreeMap<String, Copied>,
}

impl Wanted {
    pub(super) fn new(plan: &Plan, names: &dyn Names) -> Self {
        let shapes = plan.placements.iter().flat_map(|place| {
            let shapes = place.method.shapes(place).into_iter();
            shapes.map(|(name, shape)| (format!("{}.{name}", place.path), shape))
        });
        Self {
            shapes: shapes.collect(),
            copied: names.copied(plan),
        }
    }
}

/// Tensors in float32 by parameter name.
pub(super) type Values = BTreeMap<String, Tensor>;

impl TensorFile {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let bytes = files::read_bytes(path)?;
        let path = path.to_path_buf();
        let mut file = Self { path, bytes };
        file.rebuild(&stacked::of_switch)?;
        Ok(file)
    }

    /// Puts tensors of single experts in the place of those that hold all.
    pub(super) fn rebuild(&mut self, parts: &Parts<'_>) -> Result<(), Error> {
        let apart = stacked::apart(&self.bytes, parts);
        if let Some(bytes) = apart.map_err(|reason| self.damaged(reason))? {
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Names and shapes of its tensors.
    pub(super) fn shapes(&self) -> Result<Vec<(String, Vec<usize>)>, Error> {
        let tensors = self.tensors()?;
        let shapes = tensors.iter();
        Ok(shapes
            .map(|(key, view)| (key.to_string(), view.shape().to_vec()))
            .collect())
    }

    /// How the factors began whose halves its tensors hold.
    pub(super) fn init(&self) -> Result<Option<Init>, Error> {
        let header = SafeTensors::read_metadata(&self.bytes);
        let (_, header) = header.map_err(|e| self.damaged(e.to_string()))?;
        Ok(header.metadata().as_ref().and_then(halves::init))
    }

    pub(super) fn tensors(&self) -> Result<SafeTensors<'_>, Error> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| self.damaged(e.to_string()))
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Safetensors {
            path: self.path.clone(),
            reason: shortened(&reason),
        }
    }

    /// The error for a tensor that was there when names were checked.
    pub(super) fn lost(&self, name: &str) -> Error {
        self.damaged(format!("missing {name}"))
    }

    /// All `wanted` tensors, if the file holds these and nothing else that has an effect. `base`
    /// are the weights that it may repeat.
    ///
    /// # Errors
    /// With every problem of the file.
    pub(super) fn checked(
        &self,
        wanted: &Wanted,
        names: &dyn Names,
        base: &[(String, Tensor)],
    ) -> Result<Values, Error> {
        let tensors = self.tensors()?;
        let mut check = Check::new(wanted, names, base);
        // The file's order is not kept: of two names of one parameter, the shorter is the parameter's own.
        let mut all: Vec<_> = tensors.iter().collect();
        all.sort_by_key(|(key, _)| (key.len(), *key));
        for (key, view) in all {
            check.tensor(key, &view)?;
        }
        check.finish()?.map_err(|problems| Error::Mismatch {
            path: self.path.clone(),
            problems,
        })
    }
}
