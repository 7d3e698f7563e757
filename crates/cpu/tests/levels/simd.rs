//! Levels: their widths and names.

use metal_candle_cpu::simd::{Level, dispatch_at};
use pulp::{Simd, WithSimd};

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

#[test]
fn each_level_has_its_width() {
    for level in Level::available() {
        let expected = match level {
            Level::Amx | Level::Avx512 => 16,
            Level::Avx2 => 8,
            Level::Neon => 4,
            Level::Scalar => 1,
        };
        assert_eq!(dispatch_at(level, Lanes), expected, "{level}");
    }
}

#[test]
fn a_level_is_named_or_refused() {
    for level in Level::available() {
        assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
    }
    let error = "sse9".parse::<Level>().unwrap_err().to_string();
    assert!(
        error.contains("sse9") && error.contains("scalar"),
        "{error}"
    );
}
