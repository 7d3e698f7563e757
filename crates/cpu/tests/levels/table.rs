//! Looking up sixteen floats at every level.

use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::table::lookup;
use pulp::{Simd, WithSimd, bytemuck};

struct Lookup<'a>(&'a [f32; 16], &'a [u32]);

impl WithSimd for Lookup<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let registers = S::as_simd_u32s(self.1).0.iter();
        let values: Vec<S::f32s> = registers.map(|i| lookup(simd, self.0, *i)).collect();
        bytemuck::cast_slice(&values).to_vec()
    }
}

#[test]
fn every_level_looks_up_the_four_lowest_bits() {
    let table = std::array::from_fn(|i| (i * i) as f32 - 40.0);
    let index: Vec<u32> = (0..64_u32).map(|i| (i * 7) | (i << 20)).collect();
    let want: Vec<f32> = index.iter().map(|i| table[*i as usize % 16]).collect();
    for level in Level::available() {
        assert_eq!(dispatch_at(level, Lookup(&table, &index)), want, "{level}");
    }
}
