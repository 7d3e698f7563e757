//! Looking up sixteen floats at every level.

use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::table::{CODES, Sixteen, lookup, place};
use pulp::{Simd, WithSimd, bytemuck};

/// Values of the codes of all words, put in order by their places.
struct Lookup<'a, const BF16: bool>(&'a Sixteen, &'a [u32]);

impl<const BF16: bool> WithSimd for Lookup<'_, BF16> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut values = vec![f32::NAN; self.1.len() * CODES];
        for (i, words) in S::as_simd_u32s(self.1).0.iter().enumerate() {
            let registers = lookup::<BF16, S>(simd, self.0, *words);
            for (register, value) in registers.iter().enumerate() {
                for (lane, value) in bytemuck::cast_slice(&[*value]).iter().enumerate() {
                    let (word, code) = place::<BF16, S>(register, lane);
                    values[(i * S::F32_LANES + word) * CODES + code] = *value;
                }
            }
        }
        values
    }
}

#[test]
fn every_level_looks_up_all_codes_of_words() {
    let short: [f32; 16] = std::array::from_fn(|i| (i * i) as f32 / 4.0 - 40.0);
    let long: [f32; 16] = std::array::from_fn(|i| (i as f32 - 7.3).exp() - 2.0);
    let words: Vec<u32> = (1..65).map(|i: u32| i.wrapping_mul(0x9e37_79b9)).collect();
    let want = |table: [f32; 16]| -> Vec<f32> {
        let of_word = |word: u32| (0..CODES).map(move |i| word >> (4 * i) & 15);
        let codes = words.iter().flat_map(|word| of_word(*word));
        codes.map(|code| table[code as usize]).collect()
    };
    assert!(Sixteen::new(short).are_bf16() && !Sixteen::new(long).are_bf16());
    for level in Level::available() {
        for table in [short, long] {
            let got = dispatch_at(level, Lookup::<false>(&Sixteen::new(table), &words));
            assert_eq!(got, want(table), "{level}");
        }
        let got = dispatch_at(level, Lookup::<true>(&Sixteen::new(short), &words));
        assert_eq!(got, want(short), "{level}");
    }
}
