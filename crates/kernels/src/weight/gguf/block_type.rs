use super::blocks::{Block, by_type};
use half::f16;

/// Type of blocks, by ggml's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
pub enum BlockType {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ4_NL,
}

impl BlockType {
    /// All of them, with their numbers and names in files (`ggml_type`).
    const ALL: [(Self, u32, &'static str); 11] = [
        (Self::Q4_0, 2, "Q4_0"),
        (Self::Q4_1, 3, "Q4_1"),
        (Self::Q5_0, 6, "Q5_0"),
        (Self::Q5_1, 7, "Q5_1"),
        (Self::Q8_0, 8, "Q8_0"),
        (Self::Q2_K, 10, "Q2_K"),
        (Self::Q3_K, 11, "Q3_K"),
        (Self::Q4_K, 12, "Q4_K"),
        (Self::Q5_K, 13, "Q5_K"),
        (Self::Q6_K, 14, "Q6_K"),
        (Self::IQ4_NL, 20, "IQ4_NL"),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(block, ..)| block)
    }

    /// The type with this number in files.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(block, other, _)| (other == id).then_some(block))
    }

    /// Number in files.
    #[must_use]
    pub fn id(self) -> u32 {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(block, id, _)| (block == self).then_some(id))
            .unwrap_or_default()
    }

    /// Name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find_map(|(block, _, name)| (block == self).then_some(name))
            .unwrap_or_default()
    }

    /// Numbers of a block.
    #[must_use]
    pub fn numbers(self) -> usize {
        by_type!(self, B => B::NUMBERS)
    }

    /// Bytes of a block.
    #[must_use]
    pub fn bytes(self) -> usize {
        by_type!(self, B => B::BYTES)
    }

    /// Whether the factors of a block are finite: then its numbers are.
    #[must_use]
    pub fn is_finite(self, block: &[u8]) -> bool {
        self.factors(block).all(f16::is_finite)
    }

    /// Whether the factors of a block are zero: then its numbers are.
    #[must_use]
    pub fn is_zero(self, block: &[u8]) -> bool {
        self.factors(block)
            .all(|factor| factor.to_bits() & 0x7fff == 0)
    }

    fn factors(self, block: &[u8]) -> impl Iterator<Item = f16> {
        let places = by_type!(self, B => B::FACTORS).iter();
        places.map(|&at| f16::from_le_bytes([block[at], block[at + 1]]))
    }
}
