//! Eight pairs of six bits in twelve bytes: scales and minima of `Q4_K` and `Q5_K`.

use super::{array, float};

/// Scale and minimum `i`. The first four of each are the low bits of the bytes 0 to 7; of the others four bits are in
/// 8 to 11, and two above those.
#[inline(always)]
pub(super) fn get(bytes: &[u8], i: usize) -> (u8, u8) {
    match i < 4 {
        true => (bytes[i] & 63, bytes[i + 4] & 63),
        false => (
            bytes[i + 4] & 15 | (bytes[i - 4] >> 6) << 4,
            bytes[i + 4] >> 4 | (bytes[i] >> 6) << 4,
        ),
    }
}

/// `d s` and `-dmin m` of all pairs.
#[inline(always)]
pub(super) fn unpack(
    bytes: &[u8; 12],
    [d, d_min]: [f32; 2],
    scales: &mut [f32],
    offsets: &mut [f32],
) {
    let word = |at| u32::from_le_bytes(*super::bytes(bytes, at));
    let (a, b, c) = (word(0), word(4), word(8));
    let six = |low: u32| low & 0x3f3f_3f3f;
    let two_above = |four: u32, high: u32| four & 0x0f0f_0f0f | high >> 2 & 0x3030_3030;
    let eight = |low: u32, high: u32| (u64::from(low) | u64::from(high) << 32).to_le_bytes();
    let scale = eight(six(a), two_above(c, a));
    let min = eight(six(b), two_above(c >> 4, b));
    for (to, scale) in array::<8>(scales).iter_mut().zip(scale) {
        *to = d * float(scale);
    }
    for (to, min) in array::<8>(offsets).iter_mut().zip(min) {
        *to = -(d_min * float(min));
    }
}
