//! Exponentials against those of float64, and sums of every length.
#![allow(unsafe_code)]

use metal_candle_cpu::math::{
    add_scaled_f32s, dot_f32s, exp, exp_f32s, max_f32s, scale_f32s, sum_f32s,
};
use metal_candle_cpu::simd::{Level, dispatch_at};
use metal_candle_cpu::vector::map;
use pulp::{Simd, WithSimd};
use std::mem::MaybeUninit;

struct Exp<'a>(&'a [f32], &'a mut [MaybeUninit<f32>]);

impl WithSimd for Exp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        map(
            simd,
            [self.0],
            [self.1],
            #[inline(always)]
            |[x]| [exp_f32s(simd, x)],
        );
    }
}

/// Exponentials by the scalar function, and at every level.
fn exponentials(x: &[f32]) -> Vec<Vec<f32>> {
    let at = |level| {
        let mut y = Vec::with_capacity(x.len());
        dispatch_at(level, Exp(x, &mut y.spare_capacity_mut()[..x.len()]));
        // SAFETY: `map` has written all elements.
        unsafe { y.set_len(x.len()) };
        y
    };
    let scalar = x.iter().map(|&x| exp(x)).collect();
    Level::available().map(at).chain([scalar]).collect()
}

#[test]
fn exp_is_within_two_units_in_the_last_place() {
    let steps = 2_000_000;
    let at = |i| -87.3 + (88.3 + 87.3) * (i as f32 / steps as f32);
    let x: Vec<f32> = (0..=steps).map(at).collect();
    for y in exponentials(&x) {
        for (x, y) in x.iter().zip(y) {
            let want = f64::from(*x).exp();
            let error = (f64::from(y) - want).abs() / want;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
    }
}

#[test]
fn exp_at_and_beyond_its_ends() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let x = [0.0, -inf, -1e30, -88.0, 88.4, 1e30, inf, nan, -nan];
    for y in exponentials(&x) {
        assert_eq!(y[..7], [1.0, 0.0, 0.0, 0.0, inf, inf, inf]);
        assert!(y[7].is_nan() && y[8].is_nan());
    }
}

struct Reductions<'a>(&'a [f32]);

impl WithSimd for Reductions<'_> {
    type Output = [f32; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; 3] {
        let x = self.0;
        [sum_f32s(simd, x), dot_f32s(simd, x, x), max_f32s(simd, x)]
    }
}

#[test]
fn sums_and_maxima_of_every_length() {
    for n in 0..150 {
        // Below zero, so that a lane beyond the end would be the largest.
        let x: Vec<f32> = (0..n).map(|i| (i * 7 % 11) as f32 - 20.0).collect();
        let want = [
            x.iter().sum(),
            x.iter().map(|x| x * x).sum(),
            x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        ];
        for level in Level::available() {
            assert_eq!(dispatch_at(level, Reductions(&x)), want, "{level}");
        }
    }
}

struct Scaled<'a>(&'a mut [f32], &'a [f32]);

impl WithSimd for Scaled<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        add_scaled_f32s(simd, self.0, 2.0, self.1);
        scale_f32s(simd, self.0, 0.5);
    }
}

#[test]
fn scaled_sums_of_every_length() {
    for n in 0..40 {
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        for level in Level::available() {
            let mut y = x.clone();
            dispatch_at(level, Scaled(&mut y, &x));
            let want: Vec<f32> = x.iter().map(|x| 1.5 * x).collect();
            assert_eq!(y, want, "{level}");
        }
    }
}
