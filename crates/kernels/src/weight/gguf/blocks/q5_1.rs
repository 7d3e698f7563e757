use super::q5_0::{fifth_bit, put, with_fifth};
use super::{Block, Pack, RUN, bytes, ends, float, half, inverse, nibble, nibbles, put_half};

/// `d q + m`: `d` and `m` in bytes 0 to 3, the fifth bits of `q` in 4 to 7, the others in the nibbles of 8 to 23.
pub(in crate::weight::gguf) struct Q5_1;

impl Block for Q5_1 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 24;
    const FACTORS: &'static [usize] = &[0, 2];

    fn number(block: &[u8], i: usize) -> f32 {
        let q = nibble(&block[8..], i) | fifth_bit(&block[4..], i) << 4;
        half(block, 0) * f32::from(q) + half(block, 2)
    }

    #[inline(always)]
    fn run(block: &[u8], _: usize, to: &mut [f32; RUN]) {
        let (d, m) = (half(block, 0), half(block, 2));
        let fifth = u32::from_le_bytes(*bytes(block, 4));
        nibbles(
            bytes(block, 8),
            to,
            #[inline(always)]
            |i, q| d * float(with_fifth(q, fifth, i)) + m,
        );
    }
}

impl Pack for Q5_1 {
    fn pack(numbers: &[f32], block: &mut [u8]) {
        let (min, max) = ends(numbers);
        let d = (max - min) / 31.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        put_half(block, 2, min);
        for (i, x) in numbers.iter().enumerate() {
            let q = ((x - min) * inverse + 0.5).trunc() as u8;
            put(&mut block[4..], i, q.min(31));
        }
    }
}
