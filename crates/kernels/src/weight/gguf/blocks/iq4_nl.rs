use super::{Block, Codes, half, nibble, nibbles};

/// `d v[q]` with a table `v`: `d` in bytes 0 and 1, `q` in the nibbles of 2 to 17.
pub(in crate::weight::gguf) struct Iq4Nl;

/// Values of `IQ4_NL`, ggml's `kvalues_iq4nl`.
pub(in crate::weight) const VALUES: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

impl Block for Iq4Nl {
    const NUMBERS: usize = 32;
    const BYTES: usize = 18;
    const FACTORS: &'static [usize] = &[0];
    const OFFSETS: bool = false;

    fn number(block: &[u8], i: usize) -> f32 {
        half(block, 0) * f32::from(VALUES[usize::from(nibble(&block[2..], i))])
    }

    #[inline(always)]
    fn codes(block: &[u8], _: usize) -> Codes {
        let mut codes = nibbles(block, 2);
        for word in &mut codes {
            let value = |code: u8| VALUES[usize::from(code) % VALUES.len()].cast_unsigned();
            *word = u64::from_le_bytes(word.to_le_bytes().map(value));
        }
        codes
    }
}
