use super::{Block, Codes, Pack, ends, half, inverse, nibble, nibbles, put_half, put_nibble};

/// `d q + m`: `d` and `m` in bytes 0 to 3, `q` in the nibbles of 4 to 19.
pub(in crate::weight::gguf) struct Q4_1;

impl Block for Q4_1 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 20;
    const FACTORS: &'static [usize] = &[0, 2];

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * f32::from(nibble(&block[4..], i)) + half(block, 2)
    }

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> Codes {
        nibbles(block, 4)
    }
}

impl Pack for Q4_1 {
    fn pack(numbers: &[f32], block: &mut [u8]) {
        let (min, max) = ends(numbers);
        let d = (max - min) / 15.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        put_half(block, 2, min);
        for (i, x) in numbers.iter().enumerate() {
            let q = ((x - min) * inverse + 0.5).trunc() as u8;
            put_nibble(&mut block[4..], i, q.min(15));
        }
    }
}
