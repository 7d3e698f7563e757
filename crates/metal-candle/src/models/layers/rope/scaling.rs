//! Scaling of the angles of a rotary embedding for sequences longer than those of the
//! pre-training, number by number as `transformers/modeling_rope_utils.py`.

use std::f32::consts::TAU;

/// Llama 3.1's stretch of the long wavelengths, smooth between two bounds
/// (`_compute_llama3_parameters`).
#[derive(Clone, Debug, PartialEq)]
pub struct Llama3 {
    /// Stretch of the long wavelengths.
    pub factor: f64,
    /// Wavelengths longer than `original / low` are stretched whole.
    pub low: f64,
    /// Wavelengths shorter than `original / high` are left alone.
    pub high: f64,
    /// Sequence length of the pre-training, in tokens.
    pub original: f64,
}

impl Llama3 {
    pub(super) fn apply(&self, frequency: f32) -> f32 {
        let [factor, low, high, original] =
            [self.factor, self.low, self.high, self.original].map(|number| number as f32);
        let wavelength = TAU / frequency;
        if wavelength > original / low {
            return frequency / factor;
        }
        if wavelength < original / high {
            return frequency;
        }
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// Stretch of the slow pairs alone, blended over a ramp (Peng et al. 2023,
/// <https://arxiv.org/abs/2309.00071>; `_compute_yarn_parameters`).
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// Stretch.
    pub factor: f64,
    /// Sequence length of the pre-training, in tokens.
    pub original: f64,
    /// Turns within the original length from which on a pair is left alone.
    pub beta_fast: f64,
    /// Turns within the original length up to which a pair is stretched whole.
    pub beta_slow: f64,
    /// Whether the ramp begins and ends at whole pairs.
    pub truncate: bool,
    /// Factor of cosines and sines.
    pub attention_factor: Option<f64>,
    /// `mscale` and `mscale_all_dim`, from which that factor is computed where it is absent.
    pub mscale: Option<(f64, f64)>,
}

impl Yarn {
    pub(super) fn apply(&self, plain: &[f32], theta: f64) -> Vec<f32> {
        let (low, high) = self.ramp(plain.len(), theta);
        let factor = self.factor as f32;
        let blend = |(i, frequency): (usize, &f32)| {
            let kept = 1.0 - ((i as f32 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor * (1.0 - kept) + frequency * kept
        };
        plain.iter().enumerate().map(blend).collect()
    }

    /// Pairs between which the stretch sets in.
    fn ramp(&self, n_pairs: usize, theta: f64) -> (f32, f32) {
        let width = 2.0 * n_pairs as f64;
        let pair = |rotations: f64| {
            width * (self.original / (rotations * std::f64::consts::TAU)).ln() / (2.0 * theta.ln())
        };
        let (low, high) = match (pair(self.beta_fast), pair(self.beta_slow)) {
            (low, high) if self.truncate => (low.floor(), high.ceil()),
            both => both,
        };
        let (low, high) = (low.max(0.0), high.min(width - 1.0));
        // No division by zero.
        let high = if low == high { high + 0.001 } else { high };
        (low as f32, high as f32)
    }

    pub(super) fn attention_factor(&self) -> f64 {
        let magnitude = |scale: f64| match self.factor <= 1.0 {
            true => 1.0,
            false => 0.1 * scale * self.factor.ln() + 1.0,
        };
        let computed = || match self.mscale {
            Some((scale, of_all)) => magnitude(scale) / magnitude(of_all),
            None => magnitude(1.0),
        };
        self.attention_factor.unwrap_or_else(computed)
    }
}

/// A stretch for every pair, of which there are two: for sequences up to the original length, and
/// for longer ones (Ding et al. 2024, <https://arxiv.org/abs/2402.13753>;
/// `_compute_longrope_parameters`).
#[derive(Clone, Debug, PartialEq)]
pub struct LongRope {
    /// Stretch of each pair in a sequence up to the original length.
    pub short: Vec<f64>,
    /// Stretch of each pair in a longer one.
    pub long: Vec<f64>,
    /// Sequence length of the pre-training, in tokens.
    pub original: f64,
    /// How many times longer sequences may be.
    pub factor: f64,
    /// Factor of cosines and sines.
    pub attention_factor: Option<f64>,
}

impl LongRope {
    /// Angles in sequences up to the original length, and in longer ones.
    pub(super) fn apply(&self, plain: &[f32]) -> [Vec<f32>; 2] {
        [&self.short, &self.long].map(|factors| {
            let pairs = plain.iter().zip(factors);
            pairs.map(|(f, factor)| f / *factor as f32).collect()
        })
    }

    pub(super) fn attention_factor(&self) -> f64 {
        let computed = || match self.factor <= 1.0 {
            true => 1.0,
            false => (1.0 + self.factor.ln() / self.original.ln()).sqrt(),
        };
        self.attention_factor.unwrap_or_else(computed)
    }
}
