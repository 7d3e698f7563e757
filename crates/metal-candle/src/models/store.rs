//! A model's matrices in another form, and how its configuration says that.

mod states;

use super::config::quantization::{MLX, TRANSFORMERS};
use super::{Model, Part, Result};
use candle_core::{DType, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::weight::bnb_4bit::Bnb4bit;
use metal_candle_kernels::weight::microscaling::{Kind, Microscaled};
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;

/// Form of the matrices in a folder of safetensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderType {
    /// Dense.
    Dense(DType),
    /// MLX's affine packing of every matrix whose rows divide into groups.
    Affine {
        /// Bits of a number, of [`affine::BITS`](metal_candle_kernels::weight::affine::BITS).
        bits: usize,
        /// Numbers of a group, of [`affine::GROUPS`](metal_candle_kernels::weight::affine::GROUPS).
        group: usize,
    },
    /// MLX's small floats, of every matrix whose rows divide into groups.
    Floats(Kind),
    /// bitsandbytes' normal float in blocks of 64, of the linear layers of blocks.
    Nf4,
}

const ALL: [FolderType; 8] = [
    FolderType::Dense(DType::F32),
    FolderType::Dense(DType::F16),
    FolderType::Dense(DType::BF16),
    FolderType::Affine { bits: 4, group: 64 },
    FolderType::Floats(Kind::Mxfp4),
    FolderType::Floats(Kind::Mxfp8),
    FolderType::Floats(Kind::Nvfp4),
    FolderType::Nf4,
];

impl FolderType {
    /// Names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|form| form.name())
    }

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dense(dtype) => dtype.as_str(),
            Self::Affine { .. } => "affine",
            Self::Floats(kind) => kind.name(),
            Self::Nf4 => "nf4",
        }
    }

    /// Whether the matrix of a path is to be packed.
    fn packs(self, path: &str, k: usize) -> bool {
        match self {
            Self::Dense(_) => false,
            Self::Affine { group, .. } => k.is_multiple_of(group),
            Self::Floats(kind) => k.is_multiple_of(kind.group()),
            Self::Nf4 => path.contains(".layers."),
        }
    }

    fn pack(self, dense: &Tensor) -> metal_candle_kernels::Result<Weight> {
        Ok(match self {
            Self::Dense(dtype) => dense.to_dtype(dtype)?.into(),
            Self::Affine { bits, group } => Affine::quantize(dense, bits, group)?.into(),
            Self::Floats(kind) => Microscaled::quantize(dense, kind)?.into(),
            Self::Nf4 => Bnb4bit::quantize(dense)?.into(),
        })
    }

    /// What the configuration says of it, under the names that it says it by.
    fn settings(self) -> Vec<(&'static str, Value)> {
        let mlx = |bits: usize, group: usize, mode: &str| {
            let settings = json!({"group_size": group, "bits": bits, "mode": mode});
            vec![(MLX, settings.clone()), (TRANSFORMERS, settings)]
        };
        match self {
            Self::Dense(_) => vec![],
            Self::Affine { bits, group } => mlx(bits, group, self.name()),
            Self::Floats(kind) => mlx(kind.bits(), kind.group(), self.name()),
            Self::Nf4 => {
                let settings = json!({
                    "quant_method": "bitsandbytes",
                    "load_in_4bit": true,
                    "load_in_8bit": false,
                    "bnb_4bit_quant_type": "nf4",
                    "bnb_4bit_use_double_quant": false,
                    "bnb_4bit_quant_storage": "uint8",
                    "bnb_4bit_compute_dtype": "float32",
                });
                vec![(TRANSFORMERS, settings)]
            }
        }
    }
}

impl fmt::Display for FolderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FolderType {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let mut all = ALL.into_iter();
        all.find(|form| form.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                let names: Vec<_> = Self::names().collect();
                format!("must be one of {}", names.join(", "))
            })
    }
}

impl Model {
    /// Brings every matrix into another form, one after the other, and says so in the configuration. Those that are packed
    /// otherwise are made dense first, in the dtype that the configuration names.
    ///
    /// # Errors
    /// When a number is not finite, or memory runs out.
    pub fn store_as(&mut self, form: FolderType) -> Result<()> {
        let named = self.named_dtype();
        for (path, weight) in self.decoder.matrices_mut() {
            let dtype = match (form, &*weight) {
                (FolderType::Dense(dtype), _) => dtype,
                (_, Weight::Dense(tensor)) => tensor.dtype(),
                (_, Weight::Packed(_)) => named,
            };
            let dense = weight.dense()?.to_dtype(dtype)?;
            *weight = match form.packs(&path, weight.dims()?.1) {
                true => form.pack(&dense)?,
                false => dense.into(),
            };
        }
        if let Some(config) = self.raw_config.as_object_mut() {
            for key in [MLX, TRANSFORMERS] {
                config.remove(key);
            }
            let settings = form.settings().into_iter();
            config.extend(settings.map(|(key, value)| (key.to_string(), value)));
        }
        Ok(())
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
