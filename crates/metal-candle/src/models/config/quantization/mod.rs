//! Packing of a checkpoint's matrices, by the tool that packed them.

mod bitsandbytes;
mod fp8;
mod mlx;
mod on_load;
mod skipped;
mod zero_point;

pub use bitsandbytes::{Bits, BitsAndBytes};
pub use fp8::Fp8;
pub use mlx::{Mlx, Mode, Packing};
pub use on_load::OnLoad;
pub use skipped::Skipped;
pub use zero_point::ZeroPoint;

use super::fields::Fields;
use crate::models::Result;
use crate::models::json::{shown, shown_name};
use serde_json::{Map, Value};

/// mlx-lm's field.
pub(in crate::models) const MLX: &str = "quantization";

/// The field of transformers, and what mlx-lm repeats its own as, for the hub.
pub(in crate::models) const TRANSFORMERS: &str = "quantization_config";

/// Packing of a checkpoint's matrices. Which ones are packed, its tensors say.
#[derive(Clone, Debug)]
pub enum Quantization {
    /// Format of mlx-lm, or of transformers with MLX's numbers.
    Mlx(Mlx),
    /// Format of bitsandbytes.
    BitsAndBytes(BitsAndBytes),
    /// Floats of 8 bits.
    Fp8(Fp8),
    /// Whole numbers with zero points.
    ZeroPoint(ZeroPoint),
}

impl Quantization {
    /// Whether a model that is packed so can be written: its tensors have in memory the names and dtypes
    /// that they have in files.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Mlx(mlx) => mlx.is_written(),
            Self::BitsAndBytes(settings) => settings.bits == Bits::Four,
            Self::Fp8(_) | Self::ZeroPoint(_) => false,
        }
    }

    /// Takes `quantization` or `quantization_config`.
    pub(super) fn take(fields: &mut Fields<'_>) -> Result<Option<Self>> {
        if let Some(mlx) = Mlx::take(fields)? {
            return Ok(Some(Self::Mlx(mlx)));
        }
        if fields.peek(TRANSFORMERS).is_none_or(is_empty) {
            return Ok(None);
        }
        let Some(mut settings) = fields.object(TRANSFORMERS)? else {
            return Ok(None);
        };
        let quantization = match method(&mut settings)? {
            "bitsandbytes" => BitsAndBytes::take(&mut settings).map(Self::BitsAndBytes)?,
            "fp8" => Fp8::take(&mut settings).map(Self::Fp8)?,
            "mxfp4" => Mlx::take_mxfp4(&mut settings).map(Self::Mlx)?,
            "metal" => Mlx::take_metal(&mut settings).map(Self::Mlx)?,
            other => match ZeroPoint::take(other, &mut settings) {
                Some(packing) => packing.map(Self::ZeroPoint)?,
                None => {
                    let expected = format!("one of {METHODS:?}");
                    return Err(settings.wrong("quant_method", expected, shown_name(other)));
                }
            },
        };
        nothing_is_left(&settings)?;
        Ok(Some(quantization))
    }
}

/// Methods of transformers that are built.
pub(in crate::models) const METHODS: [&str; 7] = [
    "awq",
    "bitsandbytes",
    "compressed-tensors",
    "fp8",
    "gptq",
    "metal",
    "mxfp4",
];

/// Older configurations of bitsandbytes do not name it.
fn method<'a>(settings: &mut Fields<'a>) -> Result<&'a str> {
    let is_set = |name: &&str| settings.peek(name) == Some(&Value::Bool(true));
    let is_nameless = ["load_in_4bit", "load_in_8bit"].iter().any(is_set);
    match settings.text("quant_method")? {
        Some(method) => Ok(method),
        None if is_nameless => Ok("bitsandbytes"),
        None => Err(settings.wrong("quant_method", "given", "nothing")),
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn nothing_is_left(settings: &Fields<'_>) -> Result<()> {
    match settings.untaken().next() {
        None => Ok(()),
        Some((name, value)) => Err(settings.wrong(&shown_name(name), "absent", shown(value))),
    }
}
