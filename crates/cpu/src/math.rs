//! Sums, exponentials and scaled sums: `.._f32s` for a register or, generic over the instruction
//! set, for slices inside of a kernel; [`exp`] for a number alone.

use crate::vector::{fold, update};
use pulp::Simd;

/// Numbers of [`exp`] and [`exp_f32s`].
mod exponential {
    pub(super) const LOWEST: f32 = -87.3;
    pub(super) const HIGHEST: f32 = 88.3;
    /// 1.5 * 2^23: what is added to it is rounded to a whole number, in the lowest bits.
    pub(super) const ROUND: f32 = 12_582_912.0;
    pub(super) const LN_2_HIGH: f32 = 0.693_359_4;
    pub(super) const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Coefficients of `(e^r - 1 - r) / r^2`, highest power first: the smallest relative error of `e^r` (3.2e-9)
    /// for `|r| <= ln(2) / 2`.
    pub(super) const POLYNOMIAL: [f32; 5] = [
        1.381_388e-3,
        8.369_063e-3,
        4.166_842_3e-2,
        1.666_651_8e-1,
        4.999_999_4e-1,
    ];
}

/// `e^x` within two units in the last place. Zero below -87.3, where float32 has only
/// subnormal numbers, and infinite above 88.3, a little before the largest number.
///
/// `e^x = 2^n e^r` with `n` whole and `|r| <= ln(2) / 2`; the split of ln(2) is that of
/// Cephes' `expf` (Moshier 1992).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    use exponential::{HIGHEST, LN_2_HIGH, LN_2_LOW, LOWEST, POLYNOMIAL, ROUND};
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let [first, rest @ ..] = POLYNOMIAL;
    let p = rest.into_iter().fold(first, |p, c| p * r + c);
    let e_r = p * r * r + r + 1.0;
    let two_n = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    let y = e_r * two_n;
    let y = if x < LOWEST { 0.0 } else { y };
    if x > HIGHEST { f32::INFINITY } else { y }
}

/// `sum_i a_i b_i`.
#[inline(always)]
pub fn dot_f32s<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let [sums] = fold(
        simd,
        [a, b],
        0.0,
        #[inline(always)]
        |[sum], [a, b]| [simd.mul_add_e_f32s(a, b, sum)],
        #[inline(always)]
        |a, b| simd.add_f32s(a, b),
    );
    simd.reduce_sum_f32s(sums)
}

/// `sum_i x_i`.
#[inline(always)]
pub fn sum_f32s<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let [sums] = fold(
        simd,
        [x],
        0.0,
        #[inline(always)]
        |[sum], [x]| [simd.add_f32s(sum, x)],
        #[inline(always)]
        |a, b| simd.add_f32s(a, b),
    );
    simd.reduce_sum_f32s(sums)
}

/// The largest element; -inf of none. A NaN is passed over or is the result, by instruction set.
#[inline(always)]
pub fn max_f32s<S: Simd>(simd: S, x: &[f32]) -> f32 {
    // x86 takes the second operand where one is NaN.
    let [maxima] = fold(
        simd,
        [x],
        f32::NEG_INFINITY,
        #[inline(always)]
        |[max], [x]| [simd.max_f32s(x, max)],
        #[inline(always)]
        |a, b| simd.max_f32s(a, b),
    );
    simd.reduce_max_f32s(maxima)
}

/// `y_i += factor * x_i`.
#[inline(always)]
pub fn add_scaled_f32s<S: Simd>(simd: S, y: &mut [f32], factor: f32, x: &[f32]) {
    let factor = simd.splat_f32s(factor);
    update(
        simd,
        [y],
        [x],
        #[inline(always)]
        |[y], [x]| [simd.mul_add_e_f32s(factor, x, y)],
    );
}

/// `x_i *= factor`.
#[inline(always)]
pub fn scale_f32s<S: Simd>(simd: S, x: &mut [f32], factor: f32) {
    let factor = simd.splat_f32s(factor);
    update(
        simd,
        [x],
        [],
        #[inline(always)]
        |[x], []| [simd.mul_f32s(x, factor)],
    );
}

/// [`exp`] of every lane.
#[inline(always)]
pub fn exp_f32s<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    use exponential::{HIGHEST, LN_2_HIGH, LN_2_LOW, LOWEST, POLYNOMIAL, ROUND};
    let round = simd.splat_f32s(ROUND);
    let log2_e = simd.splat_f32s(std::f32::consts::LOG2_E);
    let rounded = simd.mul_add_e_f32s(x, log2_e, round);
    let n = simd.sub_f32s(rounded, round);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), x);
    let r = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), r);
    let mut p = simd.splat_f32s(POLYNOMIAL[0]);
    for c in &POLYNOMIAL[1..] {
        p = simd.mul_add_e_f32s(p, r, simd.splat_f32s(*c));
    }
    let one = simd.splat_f32s(1.0);
    let e_r = simd.mul_add_e_f32s(simd.mul_add_e_f32s(p, r, one), r, one);
    // n is added to the exponent: e^r lies between 0.7 and 1.5, and the ends below keep it in range.
    let n = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23));
    let y = simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(e_r), n));

    let below = simd.less_than_f32s(x, simd.splat_f32s(LOWEST));
    let y = simd.select_f32s(below, simd.splat_f32s(0.0), y);
    let above = simd.greater_than_f32s(x, simd.splat_f32s(HIGHEST));
    simd.select_f32s(above, simd.splat_f32s(f32::INFINITY), y)
}

/// `1 / (1 + e^-x)` of every lane.
#[inline(always)]
pub fn sigmoid_f32s<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let exp = exp_f32s(simd, simd.neg_f32s(x));
    simd.div_f32s(one, simd.add_f32s(one, exp))
}
