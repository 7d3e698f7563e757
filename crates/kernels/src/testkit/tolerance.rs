use super::{Array, Failure};
use candle_core::DType;

/// Distance from the truth that a dtype may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Error of one element, relative to itself and the root mean square of all.
    pub element: f64,
    /// Error of all elements together, relative to their length. Below 2 % in every dtype.
    pub norm: f64,
}

/// Error that cancellation may leave of terms of size one, computed in float32.
const FLOOR: f64 = 2e-6;

/// The one table of tolerances: a few units in the last place of each dtype.
#[must_use]
pub fn tolerance(dtype: DType) -> Tolerance {
    let (element, norm) = match dtype {
        DType::F64 => (1e-9, 1e-9),
        DType::F32 => (1e-5, 3e-6),
        DType::F16 => (2e-3, 1e-3),
        _ => (1.6e-2, 8e-3),
    };
    Tolerance { element, norm }
}

/// The tolerance of numbers that passed through both dtypes.
pub(super) fn coarser(a: DType, b: DType) -> Tolerance {
    let (a, b) = (tolerance(a), tolerance(b));
    if a.norm > b.norm { a } else { b }
}

impl Tolerance {
    /// Tolerance of results of millions of elements that are sums of thousands of terms: the element that is
    /// furthest off is further off than in a small case; all together are not.
    #[must_use]
    pub fn of_long_sums(self) -> Self {
        Self {
            element: 8.0 * self.element,
            ..self
        }
    }

    /// Compares numbers with the truth.
    ///
    /// # Errors
    /// The first element that is too far off, or the distance of all.
    pub fn compare(&self, what: &str, got: &Array, want: &Array) -> Result<(), Failure> {
        let rms = root_mean_square(&want.data);
        for (element, (&got, &want)) in got.data.iter().zip(&want.data).enumerate() {
            let allowed = self.element * (want.abs() + rms) + FLOOR;
            let error = distance(got, want);
            // Written so that a NaN fails, unless the truth is one.
            if !(error <= allowed || error == 0.0) {
                return Err(Failure::Element {
                    what: what.to_owned(),
                    element,
                    got,
                    want,
                    error,
                    allowed,
                });
            }
        }
        self.compare_norm(what, &got.data, &want.data)
    }

    /// Compares all numbers together.
    ///
    /// # Errors
    /// When their distance is too large.
    pub fn compare_norm(&self, what: &str, got: &[f64], want: &[f64]) -> Result<(), Failure> {
        let differences: Vec<f64> = got
            .iter()
            .zip(want)
            .map(|(g, w)| distance(*g, *w))
            .collect();
        let error = root_mean_square(&differences);
        let size = root_mean_square(want);
        if error <= self.norm * size + FLOOR {
            return Ok(());
        }
        Err(Failure::Norm {
            what: what.to_owned(),
            error: error / size,
            allowed: self.norm,
        })
    }
}

/// Zero for equal infinities and for two NaN.
fn distance(got: f64, want: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    (got - want).abs()
}

/// Root mean square of the finite numbers.
fn root_mean_square(numbers: &[f64]) -> f64 {
    let squares = numbers.iter().filter(|x| x.is_finite()).map(|x| x * x);
    (squares.sum::<f64>() / numbers.len().max(1) as f64).sqrt()
}
