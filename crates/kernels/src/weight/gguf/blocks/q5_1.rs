use super::q5_0::{fifth_bit, fifth_bits, put};
use super::{Block, Codes, Pack, above, bytes, ends, half, inverse, nibble, nibbles, put_half};

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
    fn codes(block: &[u8], _: usize) -> Codes {
        above::<4>(nibbles(block, 8), fifth_bits(bytes(block, 4)))
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
