//! Folders as `mlx_lm.convert` writes them.

use crate::error::Result;
use candle_core::{DType, Tensor};
use metal_candle::LanguageModel;
use metal_candle::models::{FolderType, Model, Recipe, copy_companions, save_checkpoint};
use std::path::Path;

/// Matrices and numbers of a folder.
pub(super) struct Plan {
    pub(super) matrices: Matrices,
    /// Type of numbers that are not packed, if it was named.
    pub(super) dtype: Option<DType>,
}

/// Fate of the matrices.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Matrices {
    /// Packed ones stay so where MLX has their packing.
    Kept,
    Dense,
    Packed(FolderType),
    Mixed(Recipe, usize),
}

impl Plan {
    /// Brings the matrices into their form; gives the type of all other numbers, which stay as they are if `None`.
    ///
    /// # Errors
    /// When a number is not finite, or memory runs out.
    pub(super) fn store(self, model: &mut Model) -> Result<Option<DType>> {
        let dtype = self.dtype.or_else(|| model.config_dtype());
        let named = dtype.unwrap_or_else(|| model.named_dtype());
        let dense = FolderType::Dense(named);
        match self.matrices {
            Matrices::Kept if model.is_of_mlx() => {}
            Matrices::Kept | Matrices::Dense => model.store_as(dense)?,
            // Scales have the type of the matrix that they are made from.
            Matrices::Packed(form) => model.store_from(form, Some(named))?,
            Matrices::Mixed(recipe, group) => model.store_mixed(recipe, group, Some(named))?,
        }
        Ok(dtype)
    }
}

/// Writes a checkpoint into a folder, with the files that lie beside one; its floats become `dtype`.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn add(loaded: &LanguageModel, folder: &Path, dtype: Option<DType>) -> Result<()> {
    let mut tensors = loaded.model.tensors_of_folder()?;
    if let Some(dtype) = dtype {
        let floats = tensors.iter_mut().map(|(_, tensor)| tensor);
        for tensor in floats.filter(|tensor| tensor.dtype().is_float()) {
            *tensor = cast(tensor, dtype)?;
        }
    }
    save_checkpoint(folder, &loaded.model.raw_config, tensors)?;
    Ok(copy_companions(&loaded.folder, folder)?)
}

fn cast(tensor: &Tensor, dtype: DType) -> Result<Tensor> {
    let cast = tensor
        .to_dtype(dtype)
        .map_err(metal_candle::models::Error::from);
    Ok(cast?)
}
