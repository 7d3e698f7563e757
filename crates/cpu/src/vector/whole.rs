//! Dot products of floats with packed codes in whole numbers, where a processor multiplies bytes (VNNI).
//!
//! The floats of a group become whole numbers that share a scale, of 23 bits and a sign for the largest of them, about as
//! exact beside it as float32 is, and lie in three digits of a byte. A register of codes is multiplied with the bytes of a digit by one instruction;
//! sums of a digit are shifted up by eight bits before the next one adds to them.

mod plain;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86;

use pulp::{Simd, WithSimd};

/// Bytes of a register of codes.
pub const BYTES: usize = 64;

/// Digits of a whole number.
const DIGITS: usize = 3;

/// Lanes of a register, each of which adds up four bytes of codes.
const LANES: usize = BYTES / 4;

/// Binary digits behind the first of the largest whole number of a group.
const BITS: u32 = 22;

/// What the largest number of a group is made larger by before its power of two is taken: three digits of a byte go up to
/// 127.5 * 2^16 only, not to 2^23.
const ROOM: f32 = 1.01;

/// Least magnitude of a group that becomes whole numbers: scales are normal numbers.
const SMALLEST: f32 = 1e-30;

/// Bits of a float's fraction, and twice the exponent of one, which is that of a number times that of its inverse.
const FRACTION: u32 = 23;
const TWICE_ONE: u32 = 254;

/// Floats that are read behind the scales of a row at most.
pub const BEHIND: usize = LANES;

/// Layout of codes: `bits` of each, from the lowest of a byte on, and a scale for each `group` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bits of a code: 2 or 4.
    pub bits: usize,
    /// Codes of a group, no more than a register holds: 32, 64 or 128.
    pub group: usize,
}

impl Layout {
    /// Codes of a byte.
    fn per_byte(self) -> usize {
        8 / self.bits
    }

    /// Codes of a register.
    fn per_register(self) -> usize {
        BYTES * self.per_byte()
    }

    /// Groups of a register.
    fn groups(self) -> usize {
        self.per_register() / self.group
    }
}

/// Whether the processor multiplies bytes, at the level of this process.
pub fn is_available() -> bool {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    return x86::is_available();
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    false
}

/// A row of floats as whole numbers.
#[derive(Clone, Debug)]
pub struct Whole {
    layout: Layout,
    /// Bytes beside those of each register of codes: for each digit, the highest first, those of the first code of every
    /// byte, of the second, and so on. Zeros up to a whole register.
    bytes: Vec<[i8; BYTES]>,
    /// What a whole number counts in every lane of the registers.
    scales: Vec<[f32; LANES]>,
    /// Sums of the floats of each group.
    sums: Vec<f32>,
}

/// Rows that become whole numbers. Another layout, or a row that is not of whole groups, panics.
pub struct ToWhole<'a> {
    /// Rows of floats, of whole groups.
    pub x: &'a [Vec<f32>],
    /// Layout of the codes beside them.
    pub layout: Layout,
}

impl WithSimd for ToWhole<'_> {
    type Output = Option<Vec<Whole>>;

    /// The rows; `None` where a group has a number that is not finite, or none of a normal size but zeros.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Option<Vec<Whole>> {
        let Layout { bits, group } = self.layout;
        assert!(
            [2, 4].contains(&bits) && [32, 64, 128].contains(&group),
            "no {bits} bits in groups of {group}"
        );
        let layout = self.layout;
        let rows = self.x.iter().map(
            #[inline(always)]
            |x| match layout.bits {
                2 => whole::<4>(x, layout),
                _ => whole::<2>(x, layout),
            },
        );
        rows.collect()
    }
}

#[inline(always)]
fn whole<const PER_BYTE: usize>(x: &[f32], layout: Layout) -> Option<Whole> {
    assert_eq!(x.len() % layout.group, 0, "numbers behind whole groups");
    let mut numbers = vec![0; x.len().next_multiple_of(layout.per_register())];
    let mut scales = vec![[0.0; LANES]; numbers.len() / layout.per_register()];
    let lanes = LANES / layout.groups();
    let groups = numbers.chunks_mut(layout.group).zip(x.chunks(layout.group));
    for ((to, x), scales) in groups.zip(scales.as_flattened_mut().chunks_mut(lanes)) {
        scales.fill(to_whole(x, to)?);
    }
    let mut bytes = vec![[0; BYTES]; numbers.len() / BYTES * DIGITS];
    let registers = numbers.as_chunks::<PER_BYTE>().0.as_chunks::<BYTES>().0;
    for (to, register) in bytes.chunks_exact_mut(DIGITS * PER_BYTE).zip(registers) {
        for code in 0..PER_BYTE {
            for (at, byte) in register.iter().enumerate() {
                let [first, second, third] = digits(byte[code]);
                to[code][at] = first;
                to[PER_BYTE + code][at] = second;
                to[2 * PER_BYTE + code][at] = third;
            }
        }
    }
    Some(Whole {
        layout,
        bytes,
        scales,
        sums: x.chunks(layout.group).map(|x| x.iter().sum()).collect(),
    })
}

/// Whole numbers of a group, and what each counts: a power of two, so that nothing but their last digit is rounded.
#[inline(always)]
fn to_whole(x: &[f32], to: &mut [i32]) -> Option<f32> {
    let largest = x.iter().fold(0, |most, x| most.max(x.to_bits() << 1 >> 1));
    let largest = f32::from_bits(largest);
    if largest == 0.0 {
        return Some(0.0);
    }
    if !(SMALLEST..f32::INFINITY).contains(&largest) {
        return None;
    }
    let exponent = ((largest * ROOM).to_bits() >> FRACTION) - BITS;
    let per_one = f32::from_bits((TWICE_ONE - exponent) << FRACTION);
    for (to, x) in to.iter_mut().zip(x) {
        *to = (x * per_one).round_ties_even() as i32;
    }
    Some(f32::from_bits(exponent << FRACTION))
}

/// Digits of a whole number from -128 to 127, the highest first.
#[inline(always)]
fn digits(number: i32) -> [i8; DIGITS] {
    let second = (number + 128) >> 8;
    [((second + 128) >> 8) as i8, second as i8, number as i8]
}

/// Factors of the codes of some rows, for each group of every row.
#[derive(Clone, Copy, Debug)]
pub struct Factors<'a> {
    /// What a code counts; [`BEHIND`] more floats, whatever they are.
    pub scales: &'a [f32],
    /// What is added to a code's part of a number.
    pub offsets: &'a [f32],
}

impl Whole {
    /// Dot products with rows of codes that lie behind each other in `words`: sums of number times `code * scale + offset`.
    /// Where the processor does not multiply bytes they are slow.
    ///
    /// # Panics
    /// When lengths do not fit.
    pub fn dots(&self, words: &[u32], factors: Factors<'_>, to: &mut [f32]) {
        let n_groups = to.len() * self.sums.len();
        assert!(
            factors.scales.len() >= n_groups + BEHIND,
            "scales of all groups, and more"
        );
        assert_eq!(factors.offsets.len(), n_groups, "offsets of all groups");
        assert_eq!(
            words.len() * 32,
            n_groups * self.layout.group * self.layout.bits,
            "words"
        );
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if is_available() {
            // SAFETY: what is asked for above, and of the layout where the row was made.
            return unsafe { x86::dots(self, words, factors, to) };
        }
        plain::dots(self, words, factors, to);
    }
}
