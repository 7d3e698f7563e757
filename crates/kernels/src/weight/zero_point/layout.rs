use super::Sizes;

/// Tool that packed a matrix: where its numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// GPTQ: words along columns, `(K * bits / 32, N)`; zero points along rows, one less than they are.
    Gptq,
    /// GPTQ's second version: zero points as they are.
    GptqV2,
    /// AWQ's `gemm`: words along rows, `(K, N / 8)`, eight numbers of a word in an order of their own.
    Awq,
    /// compressed-tensors' `pack-quantized`: words along the columns of each row, `(N, K * bits / 32)`; zero points along
    /// columns.
    CompressedTensors,
}

/// Number of the place in a word of AWQ that each of eight numbers has.
const PLACES: [usize; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

impl Layout {
    /// The name, as `quant_method` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gptq | Self::GptqV2 => "gptq",
            Self::Awq => "awq",
            Self::CompressedTensors => "compressed-tensors",
        }
    }

    /// Bits that numbers have in it.
    #[must_use]
    pub const fn bits(self) -> &'static [usize] {
        match self {
            Self::Gptq | Self::GptqV2 => &[2, 3, 4, 8],
            Self::Awq => &[4],
            Self::CompressedTensors => &[4, 8],
        }
    }

    /// Shape of the scales.
    #[must_use]
    pub const fn of_scales(self, n: usize, n_groups: usize) -> (usize, usize) {
        match self {
            Self::CompressedTensors => (n, n_groups),
            _ => (n_groups, n),
        }
    }

    /// Zero point that the number in the file stands for.
    pub(super) const fn zero(self, stored: u32, bits: usize) -> u32 {
        match self {
            Self::Gptq => (stored + 1) & ((1 << bits) - 1),
            _ => stored,
        }
    }

    /// Numbers of the matrix: lines are its rows, or, where `is_across`, its columns.
    pub(super) fn numbers(self, words: &[u32], sizes: Sizes) -> Codes<'_> {
        let Sizes { dims, bits, .. } = sizes;
        let (line, word) = match self {
            Self::Gptq | Self::GptqV2 => (1, dims.0),
            Self::Awq => (dims.0 * bits / 32, 1),
            Self::CompressedTensors => (dims.1 * bits / 32, 1),
        };
        self.codes(words, bits, [line, word], self == Self::Awq)
    }

    /// Zero points: a line for each group, across the rows of the matrix.
    pub(super) fn zeros(self, words: &[u32], sizes: Sizes) -> Codes<'_> {
        let Sizes { dims, bits, group } = sizes;
        let strides = match self {
            Self::CompressedTensors => [1, dims.1 / group],
            _ => [(dims.0 * bits).div_ceil(32), 1],
        };
        self.codes(words, bits, strides, true)
    }

    fn codes(
        self,
        words: &[u32],
        bits: usize,
        [of_line, of_word]: [usize; 2],
        is_across: bool,
    ) -> Codes<'_> {
        Codes {
            words,
            bits,
            of_line,
            of_word,
            is_across,
            is_awq: self == Self::Awq,
        }
    }
}

/// Numbers of a few bits in lines of words, the least significant first.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    words: &'a [u32],
    bits: usize,
    /// Words from a line to the next.
    of_line: usize,
    /// Words from one of a line to the next.
    of_word: usize,
    /// Whether lines lie across the rows of the matrix.
    is_across: bool,
    is_awq: bool,
}

impl Codes<'_> {
    /// The number in a row of the matrix, and in a column, or a group of columns.
    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> u32 {
        let (line, index) = match self.is_across {
            true => (column, row),
            false => (row, column),
        };
        let index = match self.is_awq {
            true => index / 8 * 8 + PLACES[index % 8],
            false => index,
        };
        let (word, shift) = (index * self.bits / 32, index * self.bits % 32);
        let at = |word: usize| {
            let word = self.words.get(line * self.of_line + word * self.of_word);
            u64::from(word.copied().unwrap_or_default())
        };
        // A number of three bits may lie in two words.
        let next = match shift + self.bits > 32 {
            true => at(word + 1) << 32,
            false => 0,
        };
        ((next | at(word)) >> shift) as u32 & ((1 << self.bits) - 1)
    }
}
