//! Types of blocks: what a number is, and a run of them unpacked.

mod iq4_nl;
mod k_scales;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;

pub(super) use iq4_nl::Iq4Nl;
#[cfg(any(test, feature = "testkit"))]
pub(in crate::weight) use iq4_nl::VALUES as IQ4_NL;
pub(super) use q2_k::Q2K;
pub(super) use q3_k::Q3K;
pub(super) use q4_0::Q4_0;
pub(super) use q4_1::Q4_1;
pub(super) use q4_k::Q4K;
pub(super) use q5_0::Q5_0;
pub(super) use q5_1::Q5_1;
pub(super) use q5_k::Q5K;
pub(super) use q6_k::Q6K;
pub(super) use q8_0::Q8_0;

use half::f16;

/// Numbers that are unpacked at a time.
pub(super) const RUN: usize = 32;

/// Numbers of the blocks with scales of their own inside (`QK_K`).
pub(super) const SUPER: usize = 256;

/// A type of block. Each formula is computed in float32, rounded after every operation.
pub(super) trait Block {
    /// Numbers of a block, whole runs.
    const NUMBERS: usize;
    /// Bytes of a block.
    const BYTES: usize;
    /// Where the float16 factors are, in bytes from the block's start.
    const FACTORS: &'static [usize];
    /// Parts of a run that have scales of their own.
    const PARTS: usize = 1;
    /// Whether numbers have an offset.
    const OFFSETS: bool = true;
    /// The code that counts nothing.
    const ZERO: i8 = 0;

    /// Number `i` of a block: the definition.
    fn number(block: &[u8], i: usize) -> f32;

    /// The codes of the numbers `32 * run ..` of a block, signed bytes from which [`Block::ZERO`] is to be taken.
    fn codes(block: &[u8], run: usize) -> Codes;

    /// What codes count: a number is `scale (code - ZERO) + offset`, which every part of each run has its own of. Both are
    /// written for a block, of its float16 factors; the second is zero where there is one, and offsets are left where
    /// numbers have none. The factors are both themselves where a block is a run.
    #[inline(always)]
    fn scales(_: &[u8], factors: [f32; 2], scales: &mut [f32], offsets: &mut [f32]) {
        scales[0] = factors[0];
        if Self::OFFSETS {
            offsets[0] = factors[1];
        }
    }
}

/// Parts of a run at most.
pub(super) const MOST_PARTS: usize = 2;

/// A type of block that can be made of numbers.
pub(super) trait Pack: Block {
    /// Writes the block of some numbers.
    fn pack(numbers: &[f32], block: &mut [u8]);
}

/// `body` with `B` as the type of a [`super::BlockType`].
macro_rules! by_type {
    ($block:expr, $b:ident => $body:expr) => {{
        use $crate::weight::gguf::{BlockType, blocks};
        macro_rules! with {
            ($name:ident) => {{
                type $b = blocks::$name;
                $body
            }};
        }
        match $block {
            BlockType::Q4_0 => with!(Q4_0),
            BlockType::Q4_1 => with!(Q4_1),
            BlockType::Q5_0 => with!(Q5_0),
            BlockType::Q5_1 => with!(Q5_1),
            BlockType::Q8_0 => with!(Q8_0),
            BlockType::Q2_K => with!(Q2K),
            BlockType::Q3_K => with!(Q3K),
            BlockType::Q4_K => with!(Q4K),
            BlockType::Q5_K => with!(Q5K),
            BlockType::Q6_K => with!(Q6K),
            BlockType::IQ4_NL => with!(Iq4Nl),
        }
    }};
}
pub(super) use by_type;

/// The float16 at a byte.
#[inline(always)]
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Writes a float16.
fn put_half(block: &mut [u8], at: usize, value: f32) {
    block[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

/// `N` bytes from a byte on.
#[inline(always)]
pub(super) fn bytes<const N: usize>(block: &[u8], at: usize) -> &[u8; N] {
    match block[at..at + N].first_chunk() {
        Some(bytes) => bytes,
        None => unreachable!("there are N"),
    }
}

/// The first `N` of some numbers, of which there have to be as many: loops over arrays have no ends to look for.
#[inline(always)]
fn array<const N: usize>(numbers: &mut [f32]) -> &mut [f32; N] {
    match numbers.first_chunk_mut() {
        Some(array) => array,
        None => unreachable!("there are N"),
    }
}

/// Number `i` of 32 in 16 bytes: the first half is in the low nibbles, the second in the high ones.
fn nibble(bytes: &[u8], i: usize) -> u8 {
    match i < 16 {
        true => bytes[i] & 15,
        false => bytes[i - 16] >> 4,
    }
}

/// Writes what [`nibble`] reads.
fn put_nibble(bytes: &mut [u8], i: usize, value: u8) {
    match i < 16 {
        true => bytes[i] |= value & 15,
        false => bytes[i - 16] |= value << 4,
    }
}

/// Codes of a run, eight to a word from the lowest byte on: of arithmetic of words compilers make vectors, which they do not
/// of bytes.
pub(super) type Codes = [u64; RUN / 8];

/// A byte eight times.
const fn eight_times(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Words of eight bytes from the byte `at` on.
#[inline(always)]
fn words<const N: usize>(block: &[u8], at: usize) -> [u64; N] {
    let mut words = [0; N];
    for (i, word) in words.iter_mut().enumerate() {
        *word = u64::from_le_bytes(*bytes(block, at + 8 * i));
    }
    words
}

/// [`nibble`] of a whole run.
#[inline(always)]
fn nibbles(block: &[u8], at: usize) -> Codes {
    let [a, b] = words(block, at);
    let low = |word: u64| word & eight_times(15);
    [low(a), low(b), low(a >> 4), low(b >> 4)]
}

/// The bits of `MASK` of 32 bytes from the byte `at` on, counted from bit `from` on.
#[inline(always)]
fn bits<const MASK: u8>(block: &[u8], at: usize, from: usize) -> Codes {
    let mut words = words(block, at);
    for word in &mut words {
        *word = *word >> from & eight_times(MASK);
    }
    words
}

/// Puts `high` above the `BITS` of `low`.
#[inline(always)]
fn above<const BITS: u8>(mut low: Codes, high: Codes) -> Codes {
    for (low, high) in low.iter_mut().zip(high) {
        *low |= high << BITS;
    }
    low
}

/// A number as a float: through i32, for which every processor has an instruction.
#[inline(always)]
fn float(q: impl Into<i32>) -> f32 {
    q.into() as f32
}

/// One over a step, or zero for a step of zero, as `gguf.quants` has it.
fn inverse(step: f32) -> f32 {
    match step == 0.0 {
        true => 0.0,
        false => 1.0 / step,
    }
}

/// The smallest and the largest of some numbers.
fn ends(numbers: &[f32]) -> (f32, f32) {
    let min = numbers.iter().copied().fold(f32::INFINITY, f32::min);
    let max = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (min, max)
}

/// The number furthest from zero, the first where there are several.
fn furthest(numbers: &[f32]) -> f32 {
    let further = |a: f32, b: &f32| if b.abs() > a.abs() { *b } else { a };
    numbers.iter().fold(0.0, further)
}
