use super::{Block, RUN, SUPER, bytes, float, half};

/// `d s (q - 32)`, `s` of eight bits, signed, for 16 numbers: of each 128 numbers, four bits of `q` in the nibbles of 64
/// bytes from 0 on, and two in 32 bytes from 128 on, `s` in 192 to 207, `d` behind.
pub(in crate::weight::gguf) struct Q6K;

const HIGH: usize = 128;
const SCALES: usize = 192;
const D: usize = 208;

impl Block for Q6K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 210;
    const FACTORS: &'static [usize] = &[D];

    fn number(block: &[u8], i: usize) -> f32 {
        let low = block[i / 128 * 64 + i % 64] >> (4 * (i / 64 % 2)) & 15;
        let high = block[HIGH + i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
        let scale = half(block, D) * f32::from(block[SCALES + i / 16].cast_signed());
        scale * (f32::from(low | high << 4) - 32.0)
    }

    #[inline(always)]
    fn run(block: &[u8], run: usize, to: &mut [f32; RUN]) {
        let d = half(block, D);
        let low = bytes::<32>(block, run / 4 * 64 + run % 2 * 32);
        let high = bytes::<32>(block, HIGH + run / 4 * 32);
        let (low_shift, high_shift) = (4 * (run % 4 / 2), 2 * (run % 4));
        for (part, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scale = d * float(block[SCALES + 2 * run + part].cast_signed());
            let bits = low[16 * part..].iter().zip(&high[16 * part..]);
            for (to, (low, high)) in to.iter_mut().zip(bits) {
                let q = low >> low_shift & 15 | (high >> high_shift & 3) << 4;
                *to = scale * float(i32::from(q) - 32);
            }
        }
    }
}
