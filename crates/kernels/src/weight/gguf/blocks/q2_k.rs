use super::{Block, RUN, SUPER, bytes, float, half};

/// `d s q - dmin m`, `s` and `m` of four bits for 16 numbers each: `s` in the low nibbles of bytes 0 to 15, `m` in the
/// high ones, `q` in 16 to 79, `d` and `dmin` behind. Numbers 32 apart share a byte, and 128 of them 32 bytes.
pub(in crate::weight::gguf) struct Q2K;

const D: usize = 80;

impl Block for Q2K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 84;
    const FACTORS: &'static [usize] = &[D, D + 2];

    fn number(block: &[u8], i: usize) -> f32 {
        let q = block[16 + i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
        let scales = block[i / 16];
        let scale = half(block, D) * f32::from(scales & 15);
        let min = half(block, D + 2) * f32::from(scales >> 4);
        scale * f32::from(q) - min
    }

    #[inline(always)]
    fn run(block: &[u8], run: usize, to: &mut [f32; RUN]) {
        let (d, d_min) = (half(block, D), half(block, D + 2));
        let (shift, qs) = (2 * (run % 4), bytes::<32>(block, 16 + run / 4 * 32));
        for (part, to) in to.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let scales = block[2 * run + part];
            let (scale, min) = (d * float(scales & 15), d_min * float(scales >> 4));
            for (to, q) in to.iter_mut().zip(&qs[16 * part..]) {
                *to = scale * float(q >> shift & 3) - min;
            }
        }
    }
}
