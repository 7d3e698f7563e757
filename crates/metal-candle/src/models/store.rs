//! A model's matrices in another form, and how its configuration says that.

mod columns;
mod folder_type;
mod recipe;
mod rope;
mod states;

pub use folder_type::FolderType;
pub use recipe::Recipe;

use super::config::Quantization;
use super::config::quantization::{MLX, TRANSFORMERS};
use super::{Error, Model, Part, Result};
use crate::experts::{self, Stacks};
use candle_core::{DType, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::microscaling::Microscaled;
use std::borrow::Cow;

impl Model {
    /// Brings every matrix into another form, one after the other, and says so in the configuration. Those that are packed
    /// otherwise are made dense first, in the dtype that the configuration names. Where MLX packs, routers of experts have
    /// [8 bits](FolderType::of_router), as in mlx-lm.
    ///
    /// # Errors
    /// When no tool reads a model of this family so, a number is not finite, or memory runs out.
    pub fn store_as(&mut self, form: FolderType) -> Result<()> {
        self.store_from(form, form.dtype())
    }

    /// [`Self::store_as`] of matrices that are made dense in `dtype` first, if it is given. Experts that came in mxfp4 stay as
    /// they are where MLX packs, as in mlx-lm.
    ///
    /// # Errors
    /// Those of [`Self::store_as`].
    pub fn store_from(&mut self, form: FolderType, dtype: Option<DType>) -> Result<()> {
        self.check_form(form)?;
        let of = |path: &str| FolderType::of_router(path).filter(|_| form.of_mlx().is_some());
        let keeps = self.keeps_mxfp4() && form.of_mlx().is_some();
        self.store(|path| of(path).unwrap_or(form), dtype, keeps)?;
        self.say(form, of);
        self.check_packed(form)
    }

    /// Refuses a form that no tool reads.
    fn check_form(&self, form: FolderType) -> Result<()> {
        if (form, self.config.stacks()) != (FolderType::Nf4, Stacks::Columns) {
            return Ok(());
        }
        let reason = "to bitsandbytes experts of this type are no layers: nf4 is not written";
        Err(Error::unsupported(
            "model_type",
            &self.config.model_type,
            reason,
        ))
    }

    /// Whether packed matrices are transformers' mxfp4, which is MLX's.
    fn keeps_mxfp4(&self) -> bool {
        match &self.config.quantization {
            Some(Quantization::Mlx(mlx)) => mlx.is_of_transformers_mxfp4(),
            _ => false,
        }
    }

    /// [`Self::store_as`] MLX's affine packing in groups of `group`, of as many bits as a recipe has for each matrix.
    ///
    /// # Errors
    /// Those of [`Self::store_as`].
    pub fn store_mixed(
        &mut self,
        recipe: Recipe,
        group: usize,
        dtype: Option<DType>,
    ) -> Result<()> {
        let (n_blocks, stacks) = (self.config.num_hidden_layers, self.config.stacks());
        let of = |path: &str| recipe.of(&name_of_mlx(path, stacks), n_blocks, group);
        let keeps = self.keeps_mxfp4();
        self.store(of, dtype, keeps)?;
        let form = FolderType::Affine { bits: 4, group };
        self.say(form, |path| Some(of(path)));
        self.check_packed(form)
    }

    /// Packs the matrices whose `form` packs such; others become `dense`, or what they are made dense of. Those that are packed
    /// stay so where `keeps` says it.
    fn store(
        &mut self,
        form: impl Fn(&str) -> FolderType,
        dense: Option<DType>,
        keeps: bool,
    ) -> Result<()> {
        let named = self.named_dtype();
        let matrices = self.decoder.matrices_mut();
        for (path, weight) in
            matrices.filter(|(_, weight)| !(keeps && matches!(weight, Weight::Packed(_))))
        {
            let dtype = match (dense, &*weight) {
                (Some(dtype), _) => dtype,
                (None, Weight::Dense(tensor)) => tensor.dtype(),
                (None, Weight::Packed(_)) => named,
            };
            let dense = weight.dense()?.to_dtype(dtype)?;
            let form = form(&path);
            *weight = match form.packs(&path, weight.dims()?.1) {
                true => form.pack(&dense)?,
                false => dense.into(),
            };
        }
        Ok(())
    }

    /// Refuses a form that packs none of the matrices, which no reader takes for packed.
    fn check_packed(&self, form: FolderType) -> Result<()> {
        let Some(told) = form.of_mlx() else {
            return Ok(());
        };
        match self.decoder.packed().next() {
            Some(_) => Ok(()),
            None => Err(Error::unsupported(
                MLX,
                told,
                "no matrix has rows of whole groups: nothing would be packed",
            )),
        }
    }

    /// Says in the configuration how matrices are packed: as `form`, or as `other` has it.
    fn say(&mut self, form: FolderType, other: impl Fn(&str) -> Option<FolderType>) {
        let (packed, stacks) = (self.decoder.packed(), self.config.stacks());
        let keeps = self.keeps_mxfp4();
        let mxfp4 = |weight: &Weight| {
            let kept = weight.packed_as::<Microscaled>().filter(|_| keeps);
            let kept = kept.map(|kept| FolderType::Floats(kept.kind_of_numbers()));
            kept.filter(|kept| *kept != form)
        };
        let others = packed.filter_map(|(path, weight)| {
            let said = mxfp4(weight).or_else(|| other(path))?.of_mlx()?;
            Some((name_of_mlx(path, stacks).into_owned(), said))
        });
        let settings = form.settings(others.collect());
        if let Some(config) = self.raw_config.as_object_mut() {
            for key in [MLX, TRANSFORMERS] {
                config.remove(key);
            }
            let settings = settings.into_iter();
            config.extend(settings.map(|(key, value)| (key.to_string(), value)));
            if config.contains_key(MLX) {
                rope::add_old_names(config);
            }
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
        match self.raw_config.get(MLX) {
            Some(_) => Ok(experts::stacked(tensors, self.config.stacks())?),
            None => match self.config.stacks() {
                Stacks::Rows => Ok(tensors),
                Stacks::Columns => Ok(columns::together(tensors)?),
            },
        }
    }
}

/// mlx-lm's name of a layer: it has all experts together.
fn name_of_mlx(path: &str, stacks: Stacks) -> Cow<'_, str> {
    stacks.switch(path).map_or(path.into(), Cow::from)
}
