//! Conversions against `half`'s, at every level that the processor has.

use half::f16;
use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::widen;
use pulp::{Simd, WithSimd};

struct Half(u16);

impl WithSimd for Half {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        widen::half(simd, self.0)
    }
}

#[test]
fn every_half_is_widened_at_every_level() {
    for level in Level::available() {
        for bits in 0..=u16::MAX {
            let (got, want) = (
                dispatch_at(level, Half(bits)),
                f16::from_bits(bits).to_f32(),
            );
            let same = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(same, "{level} {bits:#x}: {got} {want}");
        }
    }
}

struct Bytes([i8; widen::RUN], i8);

impl WithSimd for Bytes {
    type Output = [f32; widen::RUN];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        widen::bytes(simd, &self.0, self.1)
    }
}

#[test]
fn bytes_are_widened_at_every_level() {
    let mut bytes = [0; widen::RUN];
    for (i, byte) in (0..).zip(&mut bytes) {
        *byte = 4 * i - 64;
    }
    for level in Level::available() {
        for zero in [0, 8, 32] {
            let want = bytes.map(|byte| f32::from(byte) - f32::from(zero));
            assert_eq!(dispatch_at(level, Bytes(bytes, zero)), want, "{level}");
        }
    }
}
