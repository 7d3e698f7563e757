use metal_candle_kernels::weight::gguf::BlockType;
use std::fmt;

/// Type in which numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// float32.
    F32,
    /// float16.
    F16,
    /// bfloat16.
    Bf16,
    /// Blocks of a few bits a number.
    Blocks(BlockType),
    /// A type that is not read, by its number.
    Other(u32),
}

/// Types that are not read, by their numbers, to be told by name.
const OTHERS: [(u32, &str); 24] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (33, "Q4_0_8_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (36, "IQ4_NL_4_4"),
    (39, "MXFP4"),
    (40, "NVFP4"),
    (41, "Q1_0"),
];

impl DataType {
    pub(super) fn from_id(id: u32) -> Self {
        match id {
            0 => Self::F32,
            1 => Self::F16,
            30 => Self::Bf16,
            other => BlockType::from_id(other).map_or(Self::Other(other), Self::Blocks),
        }
    }

    pub(super) fn id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Bf16 => 30,
            Self::Blocks(block) => block.id(),
            Self::Other(id) => id,
        }
    }

    /// Numbers and bytes of a block; of a float, one and its size. `None` for a type that is not read.
    #[must_use]
    pub fn block(self) -> Option<(usize, usize)> {
        match self {
            Self::F32 => Some((1, 4)),
            Self::F16 | Self::Bf16 => Some((1, 2)),
            Self::Blocks(block) => Some((block.numbers(), block.bytes())),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => write!(f, "F32"),
            Self::F16 => write!(f, "F16"),
            Self::Bf16 => write!(f, "BF16"),
            Self::Blocks(block) => write!(f, "{}", block.name()),
            Self::Other(id) => match OTHERS.iter().find(|(other, _)| other == id) {
                Some((_, name)) => write!(f, "{name}"),
                None => write!(f, "type {id}"),
            },
        }
    }
}

/// A tensor of a file, as its header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Sizes, the outermost first: a matrix is `[N, K]`. The file has them the other way round.
    pub shape: Vec<usize>,
    /// How the numbers are stored.
    pub data_type: DataType,
    /// First byte behind the header.
    pub(super) offset: u64,
    /// Bytes; none of a type that is not read.
    pub(super) bytes: usize,
}

impl TensorInfo {
    /// Number of numbers.
    #[must_use]
    pub fn elem_count(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Bytes of a tensor whose rows are whole blocks.
///
/// # Errors
/// When they are not, or no machine can hold them.
pub(super) fn bytes_of(shape: &[usize], data_type: DataType) -> std::result::Result<usize, String> {
    let count = shape
        .iter()
        .try_fold(1usize, |n, size| n.checked_mul(*size));
    let count = count.ok_or_else(|| format!("sizes {shape:?} are too large"))?;
    let Some((numbers, bytes)) = data_type.block() else {
        return Ok(0);
    };
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(numbers) {
        return Err(format!(
            "rows of {row} numbers do not divide into blocks of {numbers} ({data_type})"
        ));
    }
    let all = (count / numbers).checked_mul(bytes);
    all.ok_or_else(|| format!("sizes {shape:?} are too large"))
}
