use super::{Block, Codes, SUPER, above, array, bits, float, half};

/// `d (s - 32) (q - 4)`, `s` of six bits for 16 numbers: the third bits of `q` in bytes 0 to 31, one of each byte for
/// each 32 numbers, the others in 32 to 95 as in `Q2_K`, `s` in 96 to 107, `d` behind.
pub(in crate::weight::gguf) struct Q3K;

const SCALES: usize = 96;
const D: usize = 108;

impl Block for Q3K {
    const NUMBERS: usize = SUPER;
    const BYTES: usize = 110;
    const FACTORS: &'static [usize] = &[D];
    const ZERO: i8 = 4;
    const PARTS: usize = 2;
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        let low = block[32 + i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
        let third = block[i % 32] >> (i / 32) & 1;
        let q = f32::from(low | third << 2) - 4.0;
        half(block, D) * scale(&block[SCALES..], i / 16) * q
    }

    #[inline(always)]
    fn codes(block: &[u8], run: usize) -> Codes {
        let low = bits::<3>(block, 32 + run / 4 * 32, run % 4 * 2);
        above::<2>(low, bits::<1>(block, 0, run))
    }

    #[inline(always)]
    fn scales(block: &[u8], [d, _]: [f32; 2], scales: &mut [f32], _: &mut [f32]) {
        for (i, to) in array::<16>(scales).iter_mut().enumerate() {
            *to = d * scale(&block[SCALES..], i);
        }
    }
}

/// Scale `i` of twelve bytes: four bits in the nibbles of the first eight, two in the last four.
#[inline(always)]
fn scale(bytes: &[u8], i: usize) -> f32 {
    let low = bytes[i % 8] >> (4 * (i / 8)) & 15;
    let high = bytes[8 + i % 4] >> (2 * (i / 4)) & 3;
    float(i32::from(low | high << 4) - 32)
}
