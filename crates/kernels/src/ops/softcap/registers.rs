//! The bound on what the CPU kernels of other operations hold.

use metal_candle_cpu::math::exp_f32s;
use metal_candle_cpu::vector::update;
use pulp::Simd;

/// Below this, `1 - 2 / (e^2x + 1)` would lose digits.
const SMALL: f32 = 0.625;

/// Coefficients of `(tanh(x) / x - 1) / x^2` in powers of `x^2`, highest first, for `|x| < SMALL`; those of
/// Cephes' `tanhf` (Moshier 1992).
const POLYNOMIAL: [f32; 5] = [
    -5.704_988_7e-3,
    2.063_909e-2,
    -5.373_971_6e-2,
    1.333_144_2e-1,
    -3.333_328e-1,
];

/// Every element bounded, in place.
#[inline(always)]
pub(crate) fn bound<S: Simd>(simd: S, x: &mut [f32], cap: f32) {
    let cap = simd.splat_f32s(cap);
    update(
        simd,
        [x],
        [],
        #[inline(always)]
        |[x], []| {
            let [y, _] = bounded_f32s(simd, x, cap);
            [y]
        },
    );
}

/// [`bound`], with the derivatives written to `slopes`.
#[inline(always)]
pub(crate) fn bound_with_slopes<S: Simd>(simd: S, x: &mut [f32], slopes: &mut [f32], cap: f32) {
    let cap = simd.splat_f32s(cap);
    update(
        simd,
        [x, slopes],
        [],
        #[inline(always)]
        |[x, _], []| bounded_f32s(simd, x, cap),
    );
}

/// `cap * tanh(x / cap)` and its derivative.
#[inline(always)]
pub(crate) fn bounded_f32s<S: Simd>(simd: S, x: S::f32s, cap: S::f32s) -> [S::f32s; 2] {
    let one = simd.splat_f32s(1.0);
    let tanh = tanh_f32s(simd, simd.div_f32s(x, cap));
    let slope = simd.mul_add_e_f32s(simd.neg_f32s(tanh), tanh, one);
    [simd.mul_f32s(cap, tanh), slope]
}

/// The derivative at the result `y`.
#[inline(always)]
pub(crate) fn slope(y: f32, cap: f32) -> f32 {
    let tanh = y / cap;
    1.0 - tanh * tanh
}

/// `tanh(x)` of every lane, within a few units in the last place.
#[inline(always)]
fn tanh_f32s<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    // Infinite where x is large: the fraction is zero then.
    let exp = exp_f32s(simd, simd.add_f32s(x, x));
    let fraction = simd.div_f32s(simd.splat_f32s(2.0), simd.add_f32s(exp, one));
    let large = simd.sub_f32s(one, fraction);

    let square = simd.mul_f32s(x, x);
    let mut p = simd.splat_f32s(POLYNOMIAL[0]);
    for c in &POLYNOMIAL[1..] {
        p = simd.mul_add_e_f32s(p, square, simd.splat_f32s(*c));
    }
    let small = simd.mul_add_e_f32s(simd.mul_f32s(p, square), x, x);
    let is_small = simd.less_than_f32s(simd.abs_f32s(x), simd.splat_f32s(SMALL));
    simd.select_f32s(is_small, small, large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_candle_cpu::simd::{Level, dispatch_at};
    use pulp::WithSimd;

    struct Bound<'a> {
        x: &'a mut [f32],
        slopes: &'a mut [f32],
        cap: f32,
    }

    impl WithSimd for Bound<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            bound_with_slopes(simd, self.x, self.slopes, self.cap);
        }
    }

    /// Bounded numbers and derivatives at every level.
    fn bounded(x: &[f32], cap: f32) -> Vec<(Vec<f32>, Vec<f32>)> {
        let at = |level| {
            let (mut x, mut slopes) = (x.to_vec(), vec![0.0; x.len()]);
            let bound = Bound {
                x: &mut x,
                slopes: &mut slopes,
                cap,
            };
            dispatch_at(level, bound);
            (x, slopes)
        };
        Level::available().map(at).collect()
    }

    #[test]
    fn tanh_is_within_four_units_in_the_last_place() {
        let steps = 400_001;
        let at = |i| -12.0 + 24.0 * (i as f32 / steps as f32);
        let tiny = [1e-30, -1e-20, 1e-10, -1e-5, 1e-3];
        let x: Vec<f32> = (0..=steps).map(at).chain(tiny).collect();
        for (y, slopes) in bounded(&x, 1.0) {
            for ((x, y), slope) in x.iter().zip(y).zip(slopes) {
                let want = f64::from(*x).tanh();
                let error = (f64::from(y) - want).abs() / want.abs().max(f64::MIN_POSITIVE);
                assert!(error < 4.0 * f64::from(f32::EPSILON), "{x}: {error:e}");
                let error = f64::from(slope) - (1.0 - want * want);
                assert!(error.abs() < 5e-7, "derivative at {x}: {error:e}");
            }
        }
    }

    #[test]
    fn nothing_overflows() {
        for (y, slopes) in bounded(&[0.0, -1e30, 1e30, f32::INFINITY, f32::NAN], 30.0) {
            assert_eq!(y[..4], [0.0, -30.0, 30.0, 30.0]);
            assert_eq!(slopes[..4], [1.0, 0.0, 0.0, 0.0]);
            assert!(y[4].is_nan());
        }
    }

    #[test]
    fn one_derivative_is_that_of_many() {
        let x = [-40.0, -1.0, 0.25, 7.0];
        for (y, slopes) in bounded(&x, 5.0) {
            for (y, want) in y.into_iter().zip(slopes) {
                assert!((slope(y, 5.0) - want).abs() < 5e-7, "{y}: {want}");
            }
        }
    }
}
