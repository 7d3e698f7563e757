use super::{Block, Codes, Pack, furthest, half, inverse, nibble, nibbles, put_half, put_nibble};

/// `d (q - 8)`: `d` in bytes 0 and 1, `q` in the nibbles of 2 to 17.
pub(in crate::weight::gguf) struct Q4_0;

impl Block for Q4_0 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 18;
    const FACTORS: &'static [usize] = &[0];
    const ZERO: i8 = 8;
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * (f32::from(nibble(&block[2..], i)) - 8.0)
    }

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> Codes {
        nibbles(block, 2)
    }
}

impl Pack for Q4_0 {
    fn pack(numbers: &[f32], block: &mut [u8]) {
        let d = furthest(numbers) / -8.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        for (i, x) in numbers.iter().enumerate() {
            let q = (x * inverse + 8.5).trunc() as u8;
            put_nibble(&mut block[2..], i, q.min(15));
        }
    }
}
