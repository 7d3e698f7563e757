use super::{Block, Codes, SUPER, bits, bytes, half, k_scales};

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
    fn codes(block: &[u8], run: usize) -> Codes {
        bits::<15>(block, 16 + run / 2 * 32, run % 2 * 4)
    }

    #[inline(always)]
    fn scales(block: &[u8], factors: [f32; 2], scales: &mut [f32], offsets: &mut [f32]) {
        k_scales::unpack(bytes(block, 4), factors, scales, offsets);
    }
}
