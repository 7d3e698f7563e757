use super::{
    Block, Codes, Pack, above, bytes, furthest, half, inverse, nibble, nibbles, put_half,
    put_nibble,
};

/// `d (q - 16)`: `d` in bytes 0 and 1, the fifth bits of `q` in 2 to 5, the others in the nibbles of 6 to 21.
pub(in crate::weight::gguf) struct Q5_0;

impl Block for Q5_0 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 22;
    const FACTORS: &'static [usize] = &[0];
    const ZERO: i8 = 16;
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        let q = nibble(&block[6..], i) | fifth_bit(&block[2..], i) << 4;
        half(block, 0) * (f32::from(q) - 16.0)
    }

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> Codes {
        above::<4>(nibbles(block, 6), fifth_bits(bytes(block, 2)))
    }
}

impl Pack for Q5_0 {
    fn pack(numbers: &[f32], block: &mut [u8]) {
        let d = furthest(numbers) / -16.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        for (i, x) in numbers.iter().enumerate() {
            let q = (x * inverse + 16.5).trunc() as u8;
            put(&mut block[2..], i, q.min(31));
        }
    }
}

/// Bit `i` of four bytes.
pub(super) fn fifth_bit(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 8] >> (i % 8) & 1
}

/// The bits of four bytes, each in the lowest of a byte.
#[inline(always)]
pub(super) fn fifth_bits(bytes: &[u8; 4]) -> Codes {
    let mut words = [0; 4];
    for (word, &byte) in words.iter_mut().zip(bytes) {
        *word = SPREAD[usize::from(byte)];
    }
    words
}

/// Every byte with its bits in the lowest of eight bytes.
static SPREAD: [u64; 256] = {
    let mut all = [0; 256];
    let mut bits = 0;
    while bits < 8 * 256 {
        let (byte, bit) = (bits / 8, bits % 8);
        all[byte] |= ((byte >> bit & 1) as u64) << (8 * bit);
        bits += 1;
    }
    all
};

/// Writes a number of five bits where four bytes of fifth bits are followed by nibbles.
pub(super) fn put(bytes: &mut [u8], i: usize, q: u8) {
    bytes[i / 8] |= (q >> 4) << (i % 8);
    put_nibble(&mut bytes[4..], i, q);
}
