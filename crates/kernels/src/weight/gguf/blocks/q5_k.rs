use super::{Block, Codes, SUPER, above, bits, bytes, half, k_scales};

/// `d s q - dmin m` as in `Q4_K`, with the fifth bits of `q` in bytes 16 to 47, one of each byte for each 32 numbers,
/// and the others in 48 to 175.
pub(in crate::weight::gguf) struct Q5K;

impl Block for Q5K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 176;
    const FACTORS: &'static [usize] = &[0, 2];

    fn number(block: &[u8], i: usize) -> f32 {
        let low = block[48 + i / 64 * 32 + i % 32] >> (4 * (i / 32 % 2)) & 15;
        let fifth = block[16 + i % 32] >> (i / 32) & 1;
        let (scale, min) = k_scales::get(&block[4..], i / 32);
        let q = f32::from(low | fifth << 4);
        half(block, 0) * f32::from(scale) * q - half(block, 2) * f32::from(min)
    }

    #[inline(always)]
    fn codes(block: &[u8], run: usize) -> Codes {
        let low = bits::<15>(block, 48 + run / 2 * 32, run % 2 * 4);
        above::<4>(low, bits::<1>(block, 16, run))
    }

    #[inline(always)]
    fn scales(block: &[u8], factors: [f32; 2], scales: &mut [f32], offsets: &mut [f32]) {
        k_scales::unpack(bytes(block, 4), factors, scales, offsets);
    }
}
