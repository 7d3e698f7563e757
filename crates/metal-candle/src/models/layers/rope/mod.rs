//! Rotary embeddings: settings, angles, and tables of cosines and sines.

mod scaling;
mod settings;

pub use scaling::{Llama3, LongRope, Yarn};

use crate::layout::{Layout, Span};
use crate::models::Result;
use crate::models::config::Sizes;
use crate::models::config::fields::Fields;
use crate::models::layers::attention::Heads;
use candle_core::{Device, Tensor};
use metal_candle_kernels::upload;
use settings::Settings;

/// Rotary embedding of a configuration: `rope_parameters`, or `rope_theta` and `rope_scaling` in
/// transformers 4. A file may have several spellings of a setting if they say the same.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths.
    pub theta: f64,
    /// Pairs of each head that are rotated; numbers behind them are left alone.
    pub n_pairs: usize,
    /// How angles are stretched.
    pub scaling: Scaling,
}

/// Scaling of the angles.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// No rotation.
    None,
    /// All alike.
    Linear {
        /// Stretch.
        factor: f64,
    },
    /// `llama3`.
    Llama3(Llama3),
    /// `yarn`.
    Yarn(Yarn),
    /// `longrope`, `su` in older files.
    LongRope(LongRope),
}

/// Settings that a family has where a file does not say.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Defaults {
    /// Base of the wavelengths.
    pub(in crate::models) theta: f64,
    /// Share of each head that is rotated; `None` in a family that rotates heads whole.
    pub(in crate::models) partial: Option<f64>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            theta: 10_000.0,
            partial: None,
        }
    }
}

const NEW: &str = "rope_parameters";
const OLD: &str = "rope_scaling";

impl RopeConfig {
    /// Takes the settings of a model.
    pub(in crate::models) fn take(
        fields: &mut Fields<'_>,
        sizes: Sizes,
        heads: Heads,
        defaults: Defaults,
    ) -> Result<Self> {
        let new = Settings::take_object(fields, NEW)?;
        let old = Settings::take_object(fields, OLD)?;
        let top = Settings::take_top(fields)?;
        let all = new.merged(fields, "rope_parameters.", old, "rope_scaling.")?;
        let all = all.merged(fields, "rope_parameters.", top, "")?;
        all.config(defaults, heads, sizes.max_tokens)
    }

    /// Takes the settings of a model that has one embedding for blocks that see every token, and one
    /// for those with a window: in this order. In transformers 4 `rope_scaling` is the first one's, and
    /// so is `rope_theta` where the other has a base of the name `local`.
    pub(in crate::models) fn take_two(
        fields: &mut Fields<'_>,
        sizes: Sizes,
        heads: Heads,
        (defaults, local): ([Defaults; 2], Option<&str>),
    ) -> Result<[Self; 2]> {
        let [full, sliding] = take_nested(fields)?;
        let old = Settings::take_object(fields, OLD)?;
        let top = Settings::take_top(fields)?;
        let ours = "rope_parameters.sliding_attention.";
        let sliding = match local {
            Some(name) => sliding.with_theta(fields, ours, name)?,
            None => sliding.merged(fields, ours, top.clone(), "")?,
        };
        let ours = "rope_parameters.full_attention.";
        let full = full.merged(fields, ours, old, "rope_scaling.")?;
        let full = full.merged(fields, ours, top, "")?;
        Ok([
            full.config(defaults[0], heads, sizes.max_tokens)?,
            sliding.config(defaults[1], heads, sizes.max_tokens)?,
        ])
    }

    /// Angle per position of each pair, in float32 as transformers computes it, in sequences up to the
    /// original length and, where they differ, in longer ones.
    pub(in crate::models) fn frequencies(&self) -> [Vec<f32>; 2] {
        let theta = self.theta as f32;
        let width = (2 * self.n_pairs) as f32;
        let plain = (0..self.n_pairs).map(|i| 1.0 / theta.powf((2 * i) as f32 / width));
        let plain: Vec<f32> = plain.collect();
        let each = |f: &dyn Fn(f32) -> f32| plain.iter().map(|frequency| f(*frequency)).collect();
        let one: Vec<f32> = match &self.scaling {
            Scaling::None => plain,
            Scaling::Linear { factor } => each(&|frequency| frequency / *factor as f32),
            Scaling::Llama3(scaling) => each(&|frequency| scaling.apply(frequency)),
            Scaling::Yarn(scaling) => scaling.apply(&plain, self.theta),
            Scaling::LongRope(scaling) => return scaling.apply(&plain),
        };
        [one.clone(), one]
    }
}

/// Settings by kind of block, in `rope_parameters`.
fn take_nested(fields: &mut Fields<'_>) -> Result<[Settings; 2]> {
    let Some(mut object) = fields.object(NEW)? else {
        return Ok(Default::default());
    };
    let full = Settings::take_object(&mut object, "full_attention")?;
    let sliding = Settings::take_object(&mut object, "sliding_attention")?;
    settings::check_unknown(&object)?;
    Ok([full, sliding])
}

/// Cosines and sines of the places of a layout, float32: `(T, n_pairs)` each where all rows have the
/// same, else `(B, T, n_pairs)`.
#[derive(Clone, Debug)]
pub(in crate::models) struct Positions {
    pub(in crate::models) cos: Tensor,
    pub(in crate::models) sin: Tensor,
}

/// Rotary embedding that tables are made of.
#[derive(Clone, Debug)]
pub(in crate::models) struct Rope {
    short: Vec<f32>,
    long: Vec<f32>,
    /// Longest sequence, in tokens, with the angles `short`.
    original: usize,
    /// Factor of cosines and sines.
    factor: f32,
}

impl Rope {
    /// Embedding of these settings.
    pub(in crate::models) fn new(config: &RopeConfig) -> Self {
        let [short, long] = config.frequencies();
        let (original, factor) = match &config.scaling {
            Scaling::Yarn(scaling) => (usize::MAX, scaling.attention_factor()),
            Scaling::LongRope(scaling) => (scaling.original as usize, scaling.attention_factor()),
            _ => (usize::MAX, 1.0),
        };
        Self {
            short,
            long,
            original,
            factor: factor as f32,
        }
    }

    /// Tables of the places of `layout`, whose spans are of sequences of these lengths.
    pub(in crate::models) fn positions(
        &self,
        layout: &Layout,
        length: &dyn Fn(Span) -> usize,
        device: &Device,
    ) -> Result<Positions> {
        let (rows, width) = layout.dims();
        let (positions, is_long) = (layout.positions(), self.long_places(layout, length));
        let n_rows = match positions.len() == width && is_long.iter().all(|is| *is == is_long[0]) {
            true => 1,
            false => rows,
        };
        let place = |i| (is_long[i], positions[i % positions.len()]);
        let places: Vec<_> = (0..n_rows * width).map(place).collect();
        let [cos, sin] = self.tables(&places).map(|table| match n_rows {
            1 => upload(&table, (width, self.short.len()), device),
            _ => upload(&table, (rows, width, self.short.len()), device),
        });
        Ok(Positions {
            cos: cos?,
            sin: sin?,
        })
    }

    /// Cosines and sines of places, each in a sequence that is longer than the original length or not,
    /// and at a position. Those of a place that comes again are copied.
    fn tables(&self, places: &[(bool, usize)]) -> [Vec<f32>; 2] {
        let mut distinct = places.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let angles = distinct.iter().flat_map(|&(is_long, position)| {
            let frequencies = if is_long { &self.long } else { &self.short };
            let angle = move |frequency: &f32| position as f32 * frequency;
            frequencies.iter().map(angle)
        });
        let angles: Vec<f32> = angles.collect();
        let n_pairs = self.short.len();
        [f32::cos, f32::sin].map(|f: fn(f32) -> f32| {
            let values = angles.iter().map(|angle| f(*angle) * self.factor);
            let values: Vec<f32> = values.collect();
            let row = |place| distinct.binary_search(place).unwrap_or_default() * n_pairs;
            let rows = places.iter().map(row);
            rows.flat_map(|row| &values[row..row + n_pairs])
                .copied()
                .collect()
        })
    }

    /// Whether sequences of two lengths have different angles.
    pub(in crate::models) fn differs(&self, first: usize, second: usize) -> bool {
        (first > self.original) != (second > self.original)
    }

    /// Longest sequence in tokens that has other angles than longer ones, where there is one.
    pub(in crate::models) fn first_angles(&self) -> Option<usize> {
        (self.original < usize::MAX).then_some(self.original)
    }

    /// Which places are of a sequence that is longer than the original length.
    fn long_places(&self, layout: &Layout, length: &dyn Fn(Span) -> usize) -> Vec<bool> {
        let (rows, width) = layout.dims();
        let mut is_long = vec![false; rows * width];
        for (place, span) in layout.spans() {
            is_long[place..place + span.len].fill(length(span) > self.original);
        }
        is_long
    }
}
