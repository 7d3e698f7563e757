/// Packing of dense matrices while they are read, at 4 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoad {
    /// bitsandbytes' normal float in blocks of 64, of the linear layers of blocks.
    Nf4,
    /// MLX's affine packing in groups of 64, of every matrix whose rows divide into groups.
    Affine,
}

impl OnLoad {
    /// The name of the packing.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nf4 => "nf4",
            Self::Affine => "affine",
        }
    }
}
