//! Counter-based random numbers: element `i` of stream `seed` is a pure function of both, so that
//! a recomputed forward pass, another thread count or another device draws the same mask.

use crate::{Error, Result};
use candle_core::{DType, Device, Shape, Tensor};

/// Inverted dropout: elements are zeroed with probability `p`, the rest scaled by `1 / (1 - p)`
/// (Srivastava et al. 2014, in the scaling that PyTorch uses).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    p: f64,
    seed: u64,
}

impl Dropout {
    /// A mask that is fixed by `seed`.
    ///
    /// # Errors
    /// When `p` is not in `[0, 1)`.
    pub fn new(p: f64, seed: u64) -> Result<Self> {
        if (0.0..1.0).contains(&p) {
            return Ok(Self { p, seed });
        }
        Err(Error::Value {
            op: "dropout",
            what: "p",
            expected: "in [0, 1)".into(),
            got: p.to_string(),
        })
    }

    /// The factor of each element: `0` or `1 / (1 - p)`.
    ///
    /// # Errors
    /// When the device cannot hold the mask.
    pub fn mask(&self, shape: &Shape, dtype: DType, device: &Device) -> Result<Tensor> {
        let elements = 0..shape.elem_count() as u64;
        let factors: Vec<f32> = elements.map(|i| self.factor(i)).collect();
        Ok(Tensor::from_vec(factors, shape, device)?.to_dtype(dtype)?)
    }

    /// The factor of one element.
    pub(crate) fn factor(&self, element: u64) -> f32 {
        match uniform(self.seed, element) < self.p {
            true => 0.0,
            false => (1.0 / (1.0 - self.p)) as f32,
        }
    }
}

/// What a kernel without float64 draws the same factors from: the mixed seed, the number of 53 bits
/// below which an element is zeroed, and the factor of the others.
#[cfg(any(test, target_vendor = "apple", soft_metal))]
impl Dropout {
    pub(crate) fn as_integers(&self) -> (u64, u64, f32) {
        let limit = (self.p * (1u64 << 53) as f64).ceil() as u64;
        (split_mix(self.seed), limit, (1.0 / (1.0 - self.p)) as f32)
    }
}

/// A seed for the stream `stream` of `seed`: different inputs give unrelated streams.
#[must_use]
pub fn mix_seed(seed: u64, stream: u64) -> u64 {
    split_mix(split_mix(seed) ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93))
}

/// Element `index` of the stream `seed`, uniform in `[0, 1)` with 53 random bits.
#[must_use]
pub fn uniform(seed: u64, index: u64) -> f64 {
    (mix_seed(seed, index) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_draw_the_same_factors() {
        for (p, seed) in [(0.1, 7), (0.5, 8), (1.0 / 3.0, 9), (0.0, 10), (0.999, 11)] {
            let dropout = Dropout::new(p, seed).unwrap();
            let (mixed_seed, limit, kept) = dropout.as_integers();
            for element in 0..2000u64 {
                let stream = element.wrapping_mul(0xD6E8_FEB8_6659_FD93);
                let bits = split_mix(mixed_seed ^ stream) >> 11;
                let factor = if bits < limit { 0.0 } else { kept };
                assert_eq!(dropout.factor(element), factor, "p {p}, element {element}");
            }
        }
    }
}
