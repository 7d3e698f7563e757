use crate::models::config::quantization::{MLX, TRANSFORMERS};
use candle_core::{DType, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::weight::bnb_4bit::Bnb4bit;
use metal_candle_kernels::weight::microscaling::{Kind, Microscaled};
use serde_json::{Map, Value, json};
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

    /// Type of the numbers that it leaves dense, if it has one.
    pub(super) fn dtype(self) -> Option<DType> {
        match self {
            Self::Dense(dtype) => Some(dtype),
            _ => None,
        }
    }

    /// Whether the matrix of a path is to be packed.
    pub(super) fn packs(self, path: &str, k: usize) -> bool {
        match self {
            Self::Dense(_) => false,
            Self::Affine { group, .. } => k.is_multiple_of(group),
            Self::Floats(kind) => k.is_multiple_of(kind.group()),
            Self::Nf4 => path.contains(".layers."),
        }
    }

    pub(super) fn pack(self, dense: &Tensor) -> metal_candle_kernels::Result<Weight> {
        Ok(match self {
            Self::Dense(dtype) => dense.to_dtype(dtype)?.into(),
            Self::Affine { bits, group } => Affine::quantize(dense, bits, group)?.into(),
            Self::Floats(kind) => Microscaled::quantize(dense, kind)?.into(),
            Self::Nf4 => Bnb4bit::quantize(dense)?.into(),
        })
    }

    /// MLX's words for it, if it has some.
    pub(super) fn of_mlx(self) -> Option<Value> {
        let (bits, group) = match self {
            Self::Affine { bits, group } => (bits, group),
            Self::Floats(kind) => (kind.bits(), kind.group()),
            Self::Dense(_) | Self::Nf4 => return None,
        };
        Some(json!({"group_size": group, "bits": bits, "mode": self.name()}))
    }

    /// Form of a router of experts in mlx-lm (`quant_predicate` of its models), where `path` is one.
    pub fn of_router(path: &str) -> Option<Self> {
        let form = Self::Affine { bits: 8, group: 64 };
        let is_router = [".mlp.gate", ".mlp.router"]
            .iter()
            .any(|end| path.ends_with(end));
        is_router.then_some(form)
    }

    /// What the configuration says of it and of `others`, MLX's words by path, under the names that it says it by.
    pub(super) fn settings(self, others: Map<String, Value>) -> Vec<(&'static str, Value)> {
        match self {
            Self::Dense(_) => vec![],
            Self::Affine { .. } | Self::Floats(_) => {
                let mut settings = self.of_mlx().unwrap_or_default();
                if let Some(settings) = settings.as_object_mut() {
                    settings.extend(others);
                }
                vec![(MLX, settings.clone()), (TRANSFORMERS, settings)]
            }
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
