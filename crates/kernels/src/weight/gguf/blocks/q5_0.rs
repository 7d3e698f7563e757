use super::{
    Block, Pack, RUN, bytes, float, furthest, half, inverse, nibble, nibbles, put_half, put_nibble,
};

/// `d (q - 16)`: `d` in bytes 0 and 1, the fifth bits of `q` in 2 to 5, the others in the nibbles of 6 to 21.
pub(in crate::weight::gguf) struct Q5_0;

impl Block for Q5_0 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 22;
    const FACTORS: &'static [usize] = &[0];

    fn number(block: &[u8], i: usize) -> f32 {
        let q = nibble(&block[6..], i) | fifth_bit(&block[2..], i) << 4;
        half(block, 0) * (f32::from(q) - 16.0)
    }

    #[inline(always)]
    fn run(block: &[u8], _: usize, to: &mut [f32; RUN]) {
        let (d, fifth) = (half(block, 0), u32::from_le_bytes(*bytes(block, 2)));
        nibbles(
            bytes(block, 6),
            to,
            #[inline(always)]
            |i, q| d * float(with_fifth(q, fifth, i) - 16),
        );
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

/// The number of a nibble and of bit `i` above it.
#[inline(always)]
pub(super) fn with_fifth(nibble: u8, fifth: u32, i: usize) -> i32 {
    i32::from(nibble) | ((fifth >> i & 1) << 4) as i32
}

/// Writes a number of five bits where four bytes of fifth bits are followed by nibbles.
pub(super) fn put(bytes: &mut [u8], i: usize, q: u8) {
    bytes[i / 8] |= (q >> 4) << (i % 8);
    put_nibble(&mut bytes[4..], i, q);
}
