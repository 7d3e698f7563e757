use super::{Block, RUN, SUPER, bytes, float, half, k_scales};

/// `d s q - dmin m`, `s` and `m` of six bits for 32 numbers: `d` and `dmin` in bytes 0 to 3, `s` and `m` in 4 to 15,
/// `q` in 16 to 143, 64 in the nibbles of 32 bytes.
pub(in crate::weight::gguf) struct Q4K;

impl Block for Q4K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 144;
    const FACTORS: &'static [usize] = &[0, 2];

    fn number(block: &[u8], i: usize) -> f32 {
        let q = block[16 + i / 64 * 32 + i % 32] >> (4 * (i / 32 % 2)) & 15;
        let (scale, min) = k_scales::get(&block[4..], i / 32);
        half(block, 0) * f32::from(scale) * f32::from(q) - half(block, 2) * f32::from(min)
    }

    #[inline(always)]
    fn run(block: &[u8], run: usize, to: &mut [f32; RUN]) {
        let (scale, min) = k_scales::get(&block[4..], run);
        let (scale, min) = (half(block, 0) * float(scale), half(block, 2) * float(min));
        let (shift, qs) = (4 * (run % 2), bytes::<32>(block, 16 + run / 2 * 32));
        for (to, q) in to.iter_mut().zip(qs) {
            *to = scale * float(q >> shift & 15) - min;
        }
    }
}
