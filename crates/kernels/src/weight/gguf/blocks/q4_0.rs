use super::{
    Block, Pack, RUN, bytes, float, furthest, half, inverse, nibble, nibbles, put_half, put_nibble,
};

/// `d (q - 8)`: `d` in bytes 0 and 1, `q` in the nibbles of 2 to 17.
pub(in crate::weight::gguf) struct Q4_0;

impl Block for Q4_0 {
    const NUMBERS: usize = 32;
    const BYTES: usize = 18;
    const FACTORS: &'static [usize] = &[0];

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * (f32::from(nibble(&block[2..], i)) - 8.0)
    }

    #[inline(always)]
    fn run(block: &[u8], _: usize, to: &mut [f32; RUN]) {
        let d = half(block, 0);
        nibbles(
            bytes(block, 2),
            to,
            #[inline(always)]
            |_, q| d * float(i32::from(q) - 8),
        );
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
