//! A model's matrices in another form, and how its configuration says that.

mod folder_type;
mod recipe;
mod states;

pub use folder_type::FolderType;
pub use recipe::Recipe;

use super::config::quantization::{MLX, TRANSFORMERS};
use super::{Model, Part, Result};
use candle_core::{DType, Tensor};
use folder_type::repeated;
use metal_candle_kernels::Weight;
use serde_json::Value;

impl Model {
    /// Brings every matrix into another form, one after the other, and says so in the configuration. Those that are packed
    /// otherwise are made dense first, in the dtype that the configuration names.
    ///
    /// # Errors
    /// When a number is not finite, or memory runs out.
    pub fn store_as(&mut self, form: FolderType) -> Result<()> {
        self.store(|path, k| form.packs(path, k).then_some(form), form.dtype())?;
        self.say(form.settings());
        Ok(())
    }

    /// [`Self::store_as`] MLX's affine packing in groups of `group`, of as many bits as a recipe has for each matrix.
    ///
    /// # Errors
    /// Those of [`Self::store_as`].
    pub fn store_mixed(&mut self, recipe: Recipe, group: usize) -> Result<()> {
        let n_blocks = self.config.num_hidden_layers;
        let packing = |path: &str, k: usize| {
            let form = recipe.of(path, n_blocks, group);
            form.packs(path, k).then_some(form)
        };
        self.store(packing, None)?;
        let packed = self.decoder.packed();
        let all = packed.filter_map(|(path, _)| {
            let said = recipe.of(path, n_blocks, group).of_mlx()?;
            Some((path.to_string(), said))
        });
        let all: Vec<_> = all.collect();
        let mut settings = FolderType::Affine { bits: 4, group }.of_mlx();
        if let Some(settings) = settings.as_mut().and_then(Value::as_object_mut) {
            settings.extend(all);
        }
        self.say(settings.map(repeated).unwrap_or_default());
        Ok(())
    }

    /// Packs the matrices that `form` has a packing for; others become `dense`, or what they are made dense of.
    fn store(
        &mut self,
        form: impl Fn(&str, usize) -> Option<FolderType>,
        dense: Option<DType>,
    ) -> Result<()> {
        let named = self.named_dtype();
        for (path, weight) in self.decoder.matrices_mut() {
            let dtype = match (dense, &*weight) {
                (Some(dtype), _) => dtype,
                (None, Weight::Dense(tensor)) => tensor.dtype(),
                (None, Weight::Packed(_)) => named,
            };
            let dense = weight.dense()?.to_dtype(dtype)?;
            *weight = match form(&path, weight.dims()?.1) {
                Some(form) => form.pack(&dense)?,
                None => dense.into(),
            };
        }
        Ok(())
    }

    /// Says in the configuration how matrices are packed.
    fn say(&mut self, settings: Vec<(&str, Value)>) {
        if let Some(config) = self.raw_config.as_object_mut() {
            for key in [MLX, TRANSFORMERS] {
                config.remove(key);
            }
            let settings = settings.into_iter();
            config.extend(settings.map(|(key, value)| (key.to_string(), value)));
        }
    }

    /// The dtype that the configuration names; float16 where it names none.
    #[must_use]
    pub fn named_dtype(&self) -> DType {
        self.config_dtype().unwrap_or(DType::F16)
    }

    /// The dtype that the configuration names, if it names one of floats.
    #[must_use]
    pub fn config_dtype(&self) -> Option<DType> {
        let mut keys = ["dtype", "torch_dtype"].iter();
        match keys.find_map(|key| self.raw_config[*key].as_str())? {
            "float32" => Some(DType::F32),
            "bfloat16" => Some(DType::BF16),
            "float16" => Some(DType::F16),
            _ => None,
        }
    }

    /// Whether a folder keeps all matrices as they are: dense, or packed by MLX.
    #[must_use]
    pub fn is_of_mlx(&self) -> bool {
        self.raw_config.get(MLX).is_some() || self.decoder.packed().next().is_none()
    }

    /// Every tensor that a folder of the model has, by name.
    ///
    /// # Errors
    /// When a matrix has no sizes.
    pub fn tensors_of_folder(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.decoder.tensors();
        let mut parts = self.decoder.parts().into_iter();
        let norms = parts.find_map(|(_, part)| match part {
            Part::Norm(norm) => Some(norm.weight().dtype()),
            _ => None,
        });
        tensors.extend(states::of(&self.decoder, norms.unwrap_or(DType::F32))?);
        Ok(tensors)
    }
}
