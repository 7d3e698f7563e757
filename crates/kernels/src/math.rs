//! Loops that compilers turn into vector code without being told: no branches, and sums in
//! [`LANES`] independent parts, since float addition may not be reordered.

/// Parts of a sum: one register of AVX-512, two of AVX, four of SSE and NEON.
const LANES: usize = 16;

/// `sum_i a_i b_i`.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_parts.remainder().iter().zip(b_parts.remainder());
    let rest: f32 = rest.map(|(a, b)| a * b).sum();
    let mut sums = [0.0; LANES];
    for (a, b) in a_parts.zip(b_parts) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// `sum_i x_i`.
pub(crate) fn sum(x: &[f32]) -> f32 {
    fold(x, 0.0, |sum, x| sum + x)
}

/// The largest element; -inf of none. A NaN is passed over.
pub(crate) fn max(x: &[f32]) -> f32 {
    fold(x, f32::NEG_INFINITY, |max, x| if x > max { x } else { max })
}

/// `f` over all elements in any order.
fn fold(x: &[f32], start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let parts = x.chunks_exact(LANES);
    let rest = parts.remainder().iter().fold(start, |r, &x| f(r, x));
    let mut results = [start; LANES];
    for part in parts {
        for lane in 0..LANES {
            results[lane] = f(results[lane], part[lane]);
        }
    }
    results.into_iter().fold(rest, &f)
}

/// `y_i += factor * x_i`.
pub(crate) fn add_scaled(y: &mut [f32], factor: f32, x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// `x_i *= factor`.
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

/// `e^x` within two units in the last place. Zero below -87.3, where float32 has only
/// subnormal numbers, and infinite above 88.3, a little before the largest number.
///
/// `e^x = 2^n e^r` with `n` whole and `|r| <= ln(2) / 2`; the polynomial of `e^r` and the split of
/// ln(2) are those of Cephes' `expf` (Moshier 1992).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    const HIGHEST: f32 = 88.3;
    // 1.5 * 2^23: what is added to it is rounded to a whole number, in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_2e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let e_r = p * r * r + r + 1.0;
    let two_n = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    let y = e_r * two_n;
    let y = if x < LOWEST { 0.0 } else { y };
    if x > HIGHEST { f32::INFINITY } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let steps = 2_000_000;
        for i in 0..=steps {
            let x = -87.3 + (88.3 + 87.3) * (i as f32 / steps as f32);
            let want = f64::from(x).exp();
            let error = (f64::from(exp(x)) - want).abs() / want;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
    }

    #[test]
    fn exp_at_and_beyond_its_ends() {
        assert_eq!(exp(0.0), 1.0);
        for (x, want) in [(f32::NEG_INFINITY, 0.0), (-1e30, 0.0), (-88.0, 0.0)] {
            assert_eq!(exp(x), want);
        }
        for x in [88.4, 1e30, f32::INFINITY] {
            assert_eq!(exp(x), f32::INFINITY);
        }
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn sums_and_maxima_of_every_length() {
        for n in 0..70 {
            let x: Vec<f32> = (0..n).map(|i| (i * 7 % 11) as f32).collect();
            assert_eq!(sum(&x), x.iter().sum::<f32>());
            assert_eq!(dot(&x, &x), x.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
