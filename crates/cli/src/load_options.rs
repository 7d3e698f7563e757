//! `--load-in-4bit` and `--activations`: how a model is held, and what it computes with.

use candle_core::DType;
use clap::ValueEnum;
use metal_candle::models::OnLoad;

/// The options, to be flattened into those of a command.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Quantize a 16-bit checkpoint while it is read, weight by weight
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "nf4")]
    pub load_in_4bit: Option<FourBits>,
    /// Numbers between layers, and in caches of keys and values: half the memory of f32, and faster beside weights of 16 bits
    /// where the processor multiplies these, for some exactness. Sums, logits, losses and adapters stay f32
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub activations: Activations,
}

/// Types of activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Activations {
    /// Exact
    #[default]
    F32,
    /// The range of f32 in 8 bits of precision
    Bf16,
    /// 11 bits of precision, up to 65504
    F16,
}

impl Activations {
    /// The dtype.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

/// Formats of four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FourBits {
    /// The linear layers of blocks, as bitsandbytes does
    Nf4,
    /// Every matrix, in groups of 64, as MLX does
    Affine,
}

impl LoadOptions {
    /// Packing of dense matrices.
    pub fn on_load(self) -> Option<OnLoad> {
        self.load_in_4bit.map(|format| match format {
            FourBits::Nf4 => OnLoad::Nf4,
            FourBits::Affine => OnLoad::Affine,
        })
    }

    /// The option as it was given, with a blank before it.
    pub fn words(self) -> &'static str {
        match self.load_in_4bit {
            None => "",
            Some(FourBits::Nf4) => " --load-in-4bit",
            Some(FourBits::Affine) => " --load-in-4bit=affine",
        }
    }
}
