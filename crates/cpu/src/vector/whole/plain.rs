//! Plain Rust, without vector instructions.

use super::{BYTES, DIGITS, Factors, LANES, Whole};

/// Bytes of a word.
const WORD: usize = BYTES / LANES;

/// Dot products of `row` with all rows of codes.
pub(super) fn dots(row: &Whole, words: &[u32], factors: Factors<'_>, to: &mut [f32]) {
    let n_groups = row.sums.len();
    let (n_words, groups) = (words.len() / to.len().max(1), row.layout.groups());
    for (index, to) in to.iter_mut().enumerate() {
        let offsets = &factors.offsets[index * n_groups..][..n_groups];
        *to = offsets.iter().zip(&row.sums).map(|(a, b)| a * b).sum();
        let scales = &factors.scales[index * n_groups..];
        for (at, word) in words[index * n_words..][..n_words].iter().enumerate() {
            let (register, lane) = (at / LANES, at % LANES);
            let scale = scales[register * groups + lane * groups / LANES];
            *to += sum(row, *word, register, lane) as f32 * row.scales[register][lane] * scale;
        }
    }
}

/// Sum of codes times whole numbers of a word.
fn sum(row: &Whole, word: u32, register: usize, lane: usize) -> i32 {
    let (bits, per_byte) = (row.layout.bits, row.layout.per_byte());
    let bytes = &row.bytes[register * DIGITS * per_byte..];
    let product = |code: usize| {
        let (byte, part) = (lane * WORD + code / per_byte, code % per_byte);
        let digit = |digit: usize| i32::from(bytes[digit * per_byte + part][byte]);
        let number = (digit(0) * 256 + digit(1)) * 256 + digit(2);
        number * (word >> (code * bits) & ((1 << bits) - 1)) as i32
    };
    (0..WORD * per_byte).map(product).sum()
}
