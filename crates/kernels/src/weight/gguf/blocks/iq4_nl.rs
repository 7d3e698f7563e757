use super::{Block, RUN, bytes, half, nibble, nibbles};

/// `d v[q]` with a table `v`: `d` in bytes 0 and 1, `q` in the nibbles of 2 to 17.
pub(in crate::weight::gguf) struct Iq4Nl;

/// Values of `IQ4_NL`, ggml's `kvalues_iq4nl`.
pub(in crate::weight) const VALUES: [f32; 16] = [
    -127.0, -104.0, -83.0, -65.0, -49.0, -35.0, -22.0, -10.0, 1.0, 13.0, 25.0, 38.0, 53.0, 69.0,
    89.0, 113.0,
];

impl Block for Iq4Nl {
    const NUMBERS: usize = 32;
    const BYTES: usize = 18;
    const FACTORS: &'static [usize] = &[0];

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * VALUES[usize::from(nibble(&block[2..], i))]
    }

    #[inline(always)]
    fn run(block: &[u8], _: usize, to: &mut [f32; RUN]) {
        let d = half(block, 0);
        nibbles(
            bytes(block, 2),
            to,
            #[inline(always)]
            |_, q| d * VALUES[usize::from(q & 15)],
        );
    }
}
