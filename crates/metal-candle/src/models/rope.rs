use super::{Error, Result};
use candle_core::{Device, Tensor};
use serde::Deserialize;
use std::f32::consts::TAU;

/// Settings of the rotary embedding: `rope_parameters`, or `rope_scaling` in transformers 4.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths; 10000 where absent.
    pub rope_theta: Option<f64>,
    /// `default` or `llama3`; `type` in older files.
    #[serde(alias = "type")]
    pub rope_type: Option<String>,
    /// Stretch of the long wavelengths.
    pub factor: Option<f64>,
    /// Wavelengths longer than `original / low_freq_factor` are stretched whole.
    pub low_freq_factor: Option<f64>,
    /// Wavelengths shorter than `original / high_freq_factor` are left alone.
    pub high_freq_factor: Option<f64>,
    /// Sequence length of the pre-training, in tokens.
    pub original_max_position_embeddings: Option<f64>,
    /// Share of a head's width that is rotated.
    pub partial_rotary_factor: Option<f64>,
}

impl RopeConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self
            .partial_rotary_factor
            .is_some_and(|factor| factor != 1.0)
        {
            let value = self.partial_rotary_factor.unwrap_or_default();
            return Err(Error::unsupported(
                "partial_rotary_factor",
                value,
                "only 1 is built",
            ));
        }
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(()),
            Some("llama3") => self.llama3().map(|_| ()),
            Some(kind) => Err(Error::unsupported(
                "rope_type",
                kind,
                "rope scalings that are built: default, llama3",
            )),
        }
    }

    /// Angle per position of each pair, in float32 as transformers computes it: `(head_dim / 2)`.
    pub(super) fn frequencies(&self, head_dim: usize) -> Result<Vec<f32>> {
        let theta = self.rope_theta.unwrap_or(10_000.0) as f32;
        let plain = (0..head_dim / 2)
            .map(|i| 1.0 / theta.powf((2 * i) as f32 / head_dim as f32))
            .collect();
        match self.rope_type.as_deref() {
            Some("llama3") => {
                let scaling = self.llama3()?;
                Ok(Vec::into_iter(plain).map(|f| scaling.apply(f)).collect())
            }
            _ => Ok(plain),
        }
    }

    fn llama3(&self) -> Result<Llama3> {
        let field = |name: &'static str, value: Option<f64>| match value {
            Some(value) if value > 0.0 => Ok(value as f32),
            _ => Err(Error::unsupported(
                name,
                "absent or not positive",
                "llama3 scaling needs it",
            )),
        };
        Ok(Llama3 {
            factor: field("factor", self.factor)?,
            low: field("low_freq_factor", self.low_freq_factor)?,
            high: field("high_freq_factor", self.high_freq_factor)?,
            original: field(
                "original_max_position_embeddings",
                self.original_max_position_embeddings,
            )?,
        })
    }
}

/// Llama 3.1's stretch of the long wavelengths, smooth between two bounds
/// (`transformers/modeling_rope_utils.py`, `_compute_llama3_parameters`).
struct Llama3 {
    factor: f32,
    low: f32,
    high: f32,
    original: f32,
}

impl Llama3 {
    fn apply(&self, frequency: f32) -> f32 {
        let wavelength = TAU / frequency;
        if wavelength > self.original / self.low {
            return frequency / self.factor;
        }
        if wavelength < self.original / self.high {
            return frequency;
        }
        let smooth = (self.original / wavelength - self.low) / (self.high - self.low);
        (1.0 - smooth) * frequency / self.factor + smooth * frequency
    }
}

/// Cosines and sines of a run of positions: `(T, D/2)` each, float32.
#[derive(Clone, Debug)]
pub struct Positions {
    pub(super) cos: Tensor,
    pub(super) sin: Tensor,
}

/// The rotary embedding of a model.
#[derive(Clone, Debug)]
pub struct Rope {
    frequencies: Vec<f32>,
}

impl Rope {
    pub(super) fn new(config: &RopeConfig, head_dim: usize) -> Result<Self> {
        let frequencies = config.frequencies(head_dim)?;
        Ok(Self { frequencies })
    }

    pub(super) fn positions(&self, start: usize, len: usize, device: &Device) -> Result<Positions> {
        let angles: Vec<f32> = (start..start + len)
            .flat_map(|position| self.frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let shape = (len, self.frequencies.len());
        let table = |f: fn(f32) -> f32| {
            Tensor::from_vec(
                angles.iter().copied().map(f).collect::<Vec<_>>(),
                shape,
                device,
            )
        };
        Ok(Positions {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
        })
    }
}
