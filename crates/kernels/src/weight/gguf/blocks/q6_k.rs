use super::{Block, Codes, SUPER, above, array, bits, bytes, float, half};

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
    const ZERO: i8 = 32;
    const PARTS: usize = 2;
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        let low = block[i / 128 * 64 + i % 64] >> (4 * (i / 64 % 2)) & 15;
        let high = block[HIGH + i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
        let scale = half(block, D) * f32::from(block[SCALES + i / 16].cast_signed());
        scale * (f32::from(low | high << 4) - 32.0)
    }

    #[inline(always)]
    fn codes(block: &[u8], run: usize) -> Codes {
        let low = bits::<15>(block, run / 4 * 64 + run % 2 * 32, run % 4 / 2 * 4);
        above::<4>(low, bits::<3>(block, HIGH + run / 4 * 32, run % 4 * 2))
    }

    #[inline(always)]
    fn scales(block: &[u8], [d, _]: [f32; 2], scales: &mut [f32], _: &mut [f32]) {
        for (to, scale) in array::<16>(scales)
            .iter_mut()
            .zip(bytes::<16>(block, SCALES))
        {
            *to = d * float(scale.cast_signed());
        }
    }
}
