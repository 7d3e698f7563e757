//! `--load-in-4bit`: packing of weights while they are read.

use clap::ValueEnum;
use metal_candle::models::OnLoad;

/// The option, to be flattened into those of a command.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Quantize a 16-bit checkpoint while it is read, weight by weight
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "nf4")]
    pub load_in_4bit: Option<FourBits>,
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
