use super::config::fields::Fields;
use super::json::{shown, shown_name};
use super::{Error, Result};
use crate::layout::Layout;
use candle_core::{Device, Tensor};
use std::f32::consts::TAU;
use std::ops::RangeInclusive;
use std::path::Path;

/// Settings of the rotary embedding: `rope_parameters`, or `rope_theta` and `rope_scaling` in
/// transformers 4. A file may have several spellings of a setting if they say the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths; 10000 where absent.
    pub rope_theta: Option<f64>,
    /// `default` or `llama3`; `type` in older files.
    pub rope_type: Option<String>,
    /// Stretch of the long wavelengths.
    pub factor: Option<f64>,
    /// Wavelengths longer than `original / low_freq_factor` are stretched whole.
    pub low_freq_factor: Option<f64>,
    /// Wavelengths shorter than `original / high_freq_factor` are left alone.
    pub high_freq_factor: Option<f64>,
    /// Sequence length of the pre-training, in tokens.
    pub original_max_position_embeddings: Option<f64>,
}

/// A base from 1 on, so that no angle per position is above 1, and far inside float32.
const THETA: RangeInclusive<f64> = 1.0..=1e30;

/// Factors and lengths: positive, and far inside float32.
const POSITIVE: RangeInclusive<f64> = 1e-6..=1e30;

/// Fields of scalings that are refused by their kind; the kinds that are built ignore them, in
/// transformers too. Those of `mrope` are about images.
const IGNORED: [&str; 9] = [
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "finetuned",
    "mrope_interleaved",
    "mrope_section",
    "mscale",
    "mscale_all_dim",
    "truncate",
];

impl RopeConfig {
    /// Takes the settings from the fields of `config.json`, which lies at `path`.
    pub(super) fn take(fields: &mut Fields<'_>, max_tokens: usize, path: &Path) -> Result<Self> {
        check_partial(fields)?;
        let (new, mut unknown) = Self::take_object(fields, "rope_parameters")?;
        let (old, others) = Self::take_object(fields, "rope_scaling")?;
        unknown.extend(others);
        let top = Self {
            rope_theta: fields.number("rope_theta", THETA)?,
            original_max_position_embeddings: fields
                .number("original_max_position_embeddings", POSITIVE)?,
            ..Self::default()
        };
        let rope = new.merged(fields, "rope_parameters.", old, "rope_scaling.")?;
        let rope = rope.merged(fields, "rope_parameters.", top, "")?;
        let rope = rope.checked(max_tokens)?;
        match unknown.is_empty() {
            true => Ok(rope),
            false => Err(Error::UnknownFields {
                path: path.to_path_buf(),
                fields: unknown,
            }),
        }
    }

    /// Settings in the object `name`, and the fields of it that are not known.
    fn take_object(fields: &mut Fields<'_>, name: &str) -> Result<(Self, Vec<String>)> {
        let Some(mut object) = fields.object(name)? else {
            return Ok(Default::default());
        };
        check_partial(&mut object)?;
        let (kind, older) = (object.text("rope_type")?, object.text("type")?);
        let names = ["rope_type", "type"].map(|name| object.full_name(name));
        let kind = object.one_of((&names[0], kind), (&names[1], older))?;
        let rope = Self {
            rope_theta: object.number("rope_theta", THETA)?,
            rope_type: kind.map(String::from),
            factor: object.number("factor", POSITIVE)?,
            low_freq_factor: object.number("low_freq_factor", POSITIVE)?,
            high_freq_factor: object.number("high_freq_factor", POSITIVE)?,
            original_max_position_embeddings: object
                .number("original_max_position_embeddings", POSITIVE)?,
        };
        let unknown = object.untaken().filter(|(name, _)| !IGNORED.contains(name));
        let told = unknown.map(|(field, value)| {
            let field = object.full_name(&shown_name(field));
            format!("{field} = {}", shown(value))
        });
        Ok((rope, told.collect()))
    }

    /// Settings of both; what both have must be equal.
    fn merged(self, fields: &Fields<'_>, ours: &str, other: Self, theirs: &str) -> Result<Self> {
        let number = |name: &str, first, second| {
            let names = (format!("{ours}{name}"), format!("{theirs}{name}"));
            fields.one_of((&names.0, first), (&names.1, second))
        };
        let kinds = ["rope_parameters.rope_type", "rope_scaling.rope_type"];
        Ok(Self {
            rope_theta: number("rope_theta", self.rope_theta, other.rope_theta)?,
            rope_type: fields.one_of((kinds[0], self.rope_type), (kinds[1], other.rope_type))?,
            factor: number("factor", self.factor, other.factor)?,
            low_freq_factor: number(
                "low_freq_factor",
                self.low_freq_factor,
                other.low_freq_factor,
            )?,
            high_freq_factor: number(
                "high_freq_factor",
                self.high_freq_factor,
                other.high_freq_factor,
            )?,
            original_max_position_embeddings: number(
                "original_max_position_embeddings",
                self.original_max_position_embeddings,
                other.original_max_position_embeddings,
            )?,
        })
    }

    /// Settings that are built. A linear scaling by 1 is none; the length of the pre-training is
    /// the model's where a scaling does not name it, as in transformers 5.
    fn checked(mut self, max_tokens: usize) -> Result<Self> {
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(self),
            Some("linear") if self.factor == Some(1.0) => Ok(Self {
                rope_type: None,
                ..self
            }),
            Some("llama3") => {
                let original = self.original_max_position_embeddings;
                self.original_max_position_embeddings = original.or(Some(max_tokens as f64));
                self.llama3().map(|_| self)
            }
            Some(kind) => Err(Error::unsupported(
                "rope_type",
                shown_name(kind),
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
            Some(value) => Ok(value as f32),
            None => Err(Error::unsupported(
                name,
                "absent",
                "llama3 scaling needs it",
            )),
        };
        let scaling = Llama3 {
            factor: field("factor", self.factor)?,
            low: field("low_freq_factor", self.low_freq_factor)?,
            high: field("high_freq_factor", self.high_freq_factor)?,
            original: field(
                "original_max_position_embeddings",
                self.original_max_position_embeddings,
            )?,
        };
        match scaling.low <= scaling.high {
            true => Ok(scaling),
            false => Err(Error::unsupported(
                "high_freq_factor",
                scaling.high,
                "must not be below low_freq_factor",
            )),
        }
    }
}

/// Heads are rotated whole.
fn check_partial(fields: &mut Fields<'_>) -> Result<()> {
    match fields.number("partial_rotary_factor", 0.0..=1.0)? {
        None | Some(1.0) => Ok(()),
        Some(value) => Err(Error::unsupported(
            "partial_rotary_factor",
            value,
            "only 1 is built",
        )),
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

/// Cosines and sines of the positions of a layout, float32: `(T, D/2)` each where all rows have the
/// same, else `(B, T, D/2)`.
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

    pub(super) fn positions(&self, layout: &Layout, device: &Device) -> Result<Positions> {
        let (rows, width) = layout.dims();
        let (positions, half) = (layout.positions(), self.frequencies.len());
        let angles: Vec<f32> = positions
            .iter()
            .flat_map(|&position| self.frequencies.iter().map(move |f| position as f32 * f))
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().copied().map(f).collect();
            match positions.len() == width {
                true => Tensor::from_vec(values, (width, half), device),
                false => Tensor::from_vec(values, (rows, width, half), device),
            }
        };
        Ok(Positions {
            cos: table(f32::cos)?,
            sin: table(f32::sin)?,
        })
    }
}
