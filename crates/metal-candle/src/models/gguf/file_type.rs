//! Types of files, as llama.cpp names them: how each matrix of a model is stored.

use crate::gguf::DataType;
use metal_candle_kernels::weight::gguf::BlockType;
use std::str::FromStr;

/// Type in which the matrices of a file are stored. Norms and biases are float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType {
    name: &'static str,
    /// Number in files (`llama_ftype`).
    number: u32,
    of_most: DataType,
    /// Type of the embedding and the output head.
    of_ends: DataType,
    /// Type of the matrices that are worth more bits: in half of the blocks those of the values and of the way down.
    of_some: Option<BlockType>,
}

const Q8_0: DataType = DataType::Blocks(BlockType::Q8_0);
const Q6_K: DataType = DataType::Blocks(BlockType::Q6_K);

const ALL: [FileType; 13] = [
    FileType::floats("f32", 0, DataType::F32),
    FileType::F16,
    FileType::floats("bf16", 32, DataType::Bf16),
    FileType::blocks("q8_0", 7, BlockType::Q8_0, Q8_0),
    FileType::blocks("q6_k", 18, BlockType::Q6_K, Q6_K),
    FileType::blocks("q5_k_m", 17, BlockType::Q5_K, Q6_K).with_more(),
    FileType::blocks("q5_k_s", 16, BlockType::Q5_K, Q6_K),
    FileType::blocks("q5_1", 9, BlockType::Q5_1, Q8_0),
    FileType::blocks("q5_0", 8, BlockType::Q5_0, Q8_0),
    FileType::blocks("q4_k_m", 15, BlockType::Q4_K, Q6_K).with_more(),
    FileType::blocks("q4_k_s", 14, BlockType::Q4_K, Q6_K),
    FileType::blocks("q4_1", 3, BlockType::Q4_1, Q8_0),
    FileType::blocks("q4_0", 2, BlockType::Q4_0, Q8_0),
];

impl FileType {
    /// Numbers of 16 bits.
    pub const F16: Self = Self::floats("f16", 1, DataType::F16);

    const fn floats(name: &'static str, number: u32, data_type: DataType) -> Self {
        Self {
            name,
            number,
            of_most: data_type,
            of_ends: data_type,
            of_some: None,
        }
    }

    const fn blocks(name: &'static str, number: u32, block: BlockType, ends: DataType) -> Self {
        Self {
            of_ends: ends,
            ..Self::floats(name, number, DataType::Blocks(block))
        }
    }

    const fn with_more(self) -> Self {
        Self {
            of_some: Some(BlockType::Q6_K),
            ..self
        }
    }

    /// Names of those that are written.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|file_type| file_type.name)
    }

    pub(super) fn number(self) -> u32 {
        self.number
    }

    /// Type of a matrix with rows of `k` numbers at a place of the model.
    pub(super) fn of(self, place: Place<'_>, k: usize) -> DataType {
        let wanted = match (place, self.of_some) {
            (Place::End, _) => self.of_ends,
            (Place::Block { name, index, count }, Some(block))
                if ["attn_v", "ffn_down"].contains(&name) && has_more(index, count) =>
            {
                DataType::Blocks(block)
            }
            _ => self.of_most,
        };
        fitting(wanted, k)
    }
}

/// Place of a matrix in a model.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The embedding, or the output head.
    End,
    /// Matrix `name` of block `index` of `count`.
    Block {
        name: &'a str,
        index: usize,
        count: usize,
    },
}

impl<'a> Place<'a> {
    /// Place of a tensor by its name in files, in a model of `count` blocks.
    pub(super) fn of(name: &'a str, count: usize) -> Self {
        let mut parts = name.split('.');
        match (parts.next(), parts.next().map(str::parse), parts.next()) {
            (Some("blk"), Some(Ok(index)), Some(name)) => Self::Block { name, index, count },
            _ => Self::End,
        }
    }
}

/// Blocks of a model that are worth more bits, as llama.cpp chooses them (`use_more_bits`): the first and the last eighth, and every
/// third between.
fn has_more(index: usize, count: usize) -> bool {
    let eighth = count / 8;
    index < eighth || index >= 7 * count / 8 || (index - eighth) % 3 == 2
}

/// The type, or the next one whose blocks rows of `k` numbers divide into, as llama.cpp falls back.
fn fitting(wanted: DataType, k: usize) -> DataType {
    let fits = |data_type: &DataType| {
        let block = data_type.block();
        block.is_some_and(|(numbers, _)| k.is_multiple_of(numbers))
    };
    let next = match wanted {
        DataType::Blocks(BlockType::Q4_K) => DataType::Blocks(BlockType::Q5_0),
        DataType::Blocks(BlockType::Q5_K) => DataType::Blocks(BlockType::Q5_1),
        DataType::Blocks(BlockType::Q6_K) => Q8_0,
        _ => DataType::F16,
    };
    let mut tried = [wanted, next, DataType::F16].into_iter();
    tried.find(fits).unwrap_or(DataType::F16)
}

impl FromStr for FileType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = ALL.into_iter();
        all.find(|file_type| file_type.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                let names: Vec<_> = Self::names().collect();
                format!("must be one of {}", names.join(", "))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a published Q4_K_M file of Llama 2 7B holds.
    #[test]
    fn half_of_the_blocks_have_more_bits() {
        let file_type: FileType = "Q4_K_M".parse().unwrap();
        let of = |name: &str| file_type.of(Place::of(name, 32), 4096);
        let more: Vec<usize> = (0..32)
            .filter(|index| of(&format!("blk.{index}.attn_v.weight")) == Q6_K)
            .collect();
        let want = [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31];
        assert_eq!(more, want);
        assert_eq!(of("blk.0.ffn_down.weight"), Q6_K);
        assert_eq!(of("output.weight"), Q6_K);
        let q4_k = DataType::Blocks(BlockType::Q4_K);
        assert_eq!(of("blk.0.attn_k.weight"), q4_k);
        assert_eq!(of("blk.4.ffn_down.weight"), q4_k);
    }

    #[test]
    fn rows_that_do_not_divide_take_the_next_type() {
        let of = |name: &str, k| {
            let file_type: FileType = name.parse().unwrap();
            file_type
                .of(Place::of("blk.5.attn_k.weight", 30), k)
                .to_string()
        };
        assert_eq!(of("q4_k_m", 576), "Q5_0");
        assert_eq!(of("q5_k_s", 576), "Q5_1");
        assert_eq!(of("q6_k", 576), "Q8_0");
        assert_eq!(of("q4_0", 72), "F16");
    }
}
