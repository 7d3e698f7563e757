use super::{Block, Codes, Pack, furthest, half, inverse, put_half, words};

/// `d q`: `d` in bytes 0 and 1, `q` in 2 to 33, signed.
pub(in crate::weight::gguf) struct Q8_0;

impl Block for Q8_0 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 34;
    const FACTORS: &'static [usize] = &[0];
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * f32::from(block[2 + i].cast_signed())
    }

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> Codes {
        words(block, 2)
    }
}

impl Pack for Q8_0 {
    fn pack(numbers: &[f32], block: &mut [u8]) {
        let d = furthest(numbers).abs() / 127.0;
        let inverse = inverse(d);
        put_half(block, 0, d);
        for (to, x) in block[2..].iter_mut().zip(numbers) {
            *to = ((x * inverse).round() as i8).cast_unsigned();
        }
    }
}
