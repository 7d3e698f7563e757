//! Noise of gradients: how much rows differ in what they would have the parameters do.

/// Part of the estimates so far that a step leaves: they are means over a hundred steps, about.
const KEPT: f64 = 0.99;

/// Mean gradient over some rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct MeanGradient {
    pub(super) rows: usize,
    pub(super) squared_norm: f64,
}

/// Running estimates behind the simple noise scale (McCandlish, Kaplan, Amodei et al. 2018, arXiv 1812.06162, appendix A.1).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct GradientNoise {
    /// Squared norm of the gradient over all rows there are.
    signal: f64,
    /// Trace of the covariance of a row's gradient.
    noise: f64,
}

impl GradientNoise {
    /// Takes in the gradients of a step and of some of its rows. They say nothing where the rows are none, or all.
    pub(super) fn add(&mut self, some: MeanGradient, all: MeanGradient) {
        let is_finite = some.squared_norm.is_finite() && all.squared_norm.is_finite();
        if is_finite && (1..all.rows).contains(&some.rows) {
            let (signal, noise) = estimates(some, all);
            self.signal = KEPT * self.signal + (1.0 - KEPT) * signal;
            self.noise = KEPT * self.noise + (1.0 - KEPT) * noise;
        }
    }

    /// Rows of which the mean gradient has as much noise as signal; `None` where the steps so far do not tell.
    pub(super) fn scale(&self) -> Option<f64> {
        (self.signal > 0.0 && self.noise > 0.0).then(|| self.noise / self.signal)
    }
}

/// Unbiased estimates of signal and noise: the squared norm of a mean over `b` rows is `signal + noise / b` on average.
fn estimates(some: MeanGradient, all: MeanGradient) -> (f64, f64) {
    let (b, n) = (some.rows as f64, all.rows as f64);
    let signal = (n * all.squared_norm - b * some.squared_norm) / (n - b);
    let noise = (some.squared_norm - all.squared_norm) / (1.0 / b - 1.0 / n);
    (signal, noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gradients of rows; their mean is (1, 2), the variances around it 4 / 4 and 36 / 4, which makes 10.
    const ROWS: [[f64; 2]; 4] = [[2.0, 2.0], [0.0, 6.0], [2.0, 0.0], [0.0, 0.0]];

    fn mean(rows: &[usize]) -> MeanGradient {
        let n = rows.len() as f64;
        let sum = |i: usize| rows.iter().map(|row| ROWS[*row][i]).sum::<f64>() / n;
        MeanGradient {
            rows: rows.len(),
            squared_norm: sum(0).powi(2) + sum(1).powi(2),
        }
    }

    /// Steps of three rows, every one there is, in which the first is a micro-batch, or the first two.
    #[test]
    fn estimates_are_mean_and_covariance_on_average() {
        let variance = ROWS.map(|[x, y]| (x - 1.0).powi(2) + (y - 2.0).powi(2));
        let truth = (5.0, variance.iter().sum::<f64>() / 4.0);
        for b in [1, 2] {
            let (mut signal, mut noise) = (0.0, 0.0);
            for i in 0..64 {
                let rows = [i / 16, i / 4 % 4, i % 4];
                let one = estimates(mean(&rows[..b]), mean(&rows));
                (signal, noise) = (signal + one.0 / 64.0, noise + one.1 / 64.0);
            }
            assert!((signal - truth.0).abs() < 1e-12, "{b}: {signal}");
            assert!((noise - truth.1).abs() < 1e-12, "{b}: {noise}");
        }
    }

    /// The ratio of means is what is told, not the mean of ratios, which has no sense where a signal is about zero.
    #[test]
    fn both_are_smoothed_before_they_are_divided() {
        let of = |rows, squared_norm| MeanGradient { rows, squared_norm };
        let mut noise = GradientNoise::default();
        noise.add(of(2, 1.0), of(2, 1.0));
        noise.add(of(0, f64::NAN), of(2, 1.0));
        assert_eq!(noise.scale(), None);
        for _ in 0..1000 {
            // Signals 5 and -1, noise 2 and 6.
            noise.add(of(1, 7.0), of(2, 6.0));
            noise.add(of(1, 5.0), of(2, 2.0));
        }
        let scale = noise.scale().unwrap();
        assert!((scale - 4.0 / 2.0).abs() < 0.03, "{scale}");
    }
}
