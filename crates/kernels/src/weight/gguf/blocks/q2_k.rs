use super::{Block, Codes, SUPER, array, bits, bytes, float, half};

/// `d s q - dmin m`, `s` and `m` of four bits for 16 numbers each: `s` in the low nibbles of bytes 0 to 15, `m` in the
/// high ones, `q` in 16 to 79, `d` and `dmin` behind. Numbers 32 apart share a byte, and 128 of them 32 bytes.
pub(in crate::weight::gguf) struct Q2K;

const D: usize = 80;

impl Block for Q2K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 84;
    const FACTORS: &'static [usize] = &[D, D + 2];
    const PARTS: usize = 2;

    fn number(block: &[u8], i: usize) -> f32 {
        let q = block[16 + i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
        let scales = block[i / 16];
        let scale = half(block, D) * f32::from(scales & 15);
        let min = half(block, D + 2) * f32::from(scales >> 4);
        scale * f32::from(q) - min
    }

    #[inline(always)]
    fn codes(block: &[u8], run: usize) -> Codes {
        bits::<3>(block, 16 + run / 4 * 32, run % 4 * 2)
    }

    #[inline(always)]
    fn scales(block: &[u8], [d, d_min]: [f32; 2], scales: &mut [f32], offsets: &mut [f32]) {
        let to = array::<16>(scales).iter_mut().zip(array::<16>(offsets));
        for ((scale, offset), both) in to.zip(bytes::<16>(block, 0)) {
            (*scale, *offset) = (d * float(both & 15), -(d_min * float(both >> 4)));
        }
    }
}
