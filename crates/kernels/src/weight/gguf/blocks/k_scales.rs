//! Eight pairs of six bits in twelve bytes: scales and minima of `Q4_K` and `Q5_K`.

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
