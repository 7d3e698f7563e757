//! Whole numbers with zero points, by the tool that packed them.

mod awq;
mod compressed_tensors;
mod gptq;

use super::Skipped;
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::json::shown;
use metal_candle_kernels::weight::zero_point::Layout;
use serde_json::Value;

/// Packing of a checkpoint by GPTQ, AWQ or compressed-tensors.
#[derive(Clone, Debug)]
pub struct ZeroPoint {
    /// Where numbers lie.
    pub layout: Layout,
    /// Bits of a number.
    pub bits: usize,
    /// Columns that share a scale; `None`: all of a row.
    pub group: Option<usize>,
    /// Whether zero points are the middle, and there are none in the file.
    pub is_symmetric: bool,
    /// Linear layers that are not packed.
    pub skipped: Skipped,
}

impl ZeroPoint {
    /// Takes the settings of a tool, if `method` is one of these.
    pub(super) fn take(method: &str, settings: &mut Fields<'_>) -> Option<Result<Self>> {
        match method {
            "gptq" => Some(gptq::take(settings)),
            "awq" => Some(awq::take(settings)),
            "compressed-tensors" => Some(compressed_tensors::take(settings)),
            _ => None,
        }
    }
}

/// Bits of numbers, of those of a layout.
fn bits(settings: &mut Fields<'_>, name: &str, layout: Layout) -> Result<usize> {
    let bits = settings.size(name)?;
    let bits = settings.required(name, bits)?;
    match layout.bits().contains(&bits) {
        true => Ok(bits),
        false => Err(settings.wrong(name, format!("one of {:?}", layout.bits()), bits)),
    }
}

/// Columns that share a scale, of which -1 are all.
fn group(settings: &mut Fields<'_>) -> Result<Option<usize>> {
    const NAME: &str = "group_size";
    if settings.peek(NAME).and_then(Value::as_i64) == Some(-1) {
        settings.take(NAME);
        return Ok(None);
    }
    let group = settings.size(NAME)?;
    settings.required(NAME, group).map(Some)
}

/// Refuses a setting that is not empty.
fn absent(settings: &mut Fields<'_>, name: &str) -> Result<()> {
    let is_empty = |value: &Value| match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(array) => array.is_empty(),
        _ => false,
    };
    match settings.take(name).filter(|value| !is_empty(value)) {
        None => Ok(()),
        Some(value) => Err(settings.wrong(name, "absent", shown(value))),
    }
}
