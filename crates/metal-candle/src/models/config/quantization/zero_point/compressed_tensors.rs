use super::{Skipped, ZeroPoint, absent, bits, group};
use crate::models::Result;
use crate::models::config::fields::Fields;
use crate::models::config::quantization::nothing_is_left;
use crate::models::json::{shown, shown_name};
use metal_candle_kernels::weight::zero_point::Layout;
use serde_json::Value;

/// Settings of a checkpoint that change no number. Which layers are packed, the tensors say.
const OF_OTHERS: [&str; 4] = [
    "global_compression_ratio",
    "ignore",
    "quantization_status",
    "version",
];

/// Settings of weights that say how their numbers were found, and the order of columns, which is in the files.
const OF_QUANTIZING: [&str; 6] = [
    "actorder",
    "block_structure",
    "observer",
    "observer_kwargs",
    "scale_dtype",
    "zp_dtype",
];

/// `CompressedTensorsConfig` of transformers, of one group of layers whose weights alone are packed.
pub(super) fn take(settings: &mut Fields<'_>) -> Result<ZeroPoint> {
    const FORMAT: &str = "pack-quantized";
    let format = settings.text("format")?.unwrap_or(FORMAT);
    if format != FORMAT {
        return Err(settings.wrong("format", FORMAT, shown_name(format)));
    }
    for name in ["kv_cache_scheme", "sparsity_config", "transform_config"] {
        absent(settings, name)?;
    }
    for name in OF_OTHERS {
        settings.take(name);
    }
    let Some(mut groups) = settings.object("config_groups")? else {
        return settings.required("config_groups", None);
    };
    let names: Vec<&str> = groups.untaken().map(|(name, _)| name).collect();
    let [name] = names[..] else {
        return Err(settings.wrong("config_groups", "of one group", names.len()));
    };
    match groups.object(name)? {
        Some(mut scheme) => of_scheme(&mut scheme),
        None => groups.required(name, None),
    }
}

/// Packing of a group of layers.
fn of_scheme(scheme: &mut Fields<'_>) -> Result<ZeroPoint> {
    scheme.take("targets");
    scheme.take("format");
    for name in ["input_activations", "output_activations"] {
        absent(scheme, name)?;
    }
    let Some(mut weights) = scheme.object("weights")? else {
        return scheme.required("weights", None);
    };
    let packing = of_weights(&mut weights)?;
    nothing_is_left(&weights)?;
    nothing_is_left(scheme)?;
    Ok(packing)
}

fn of_weights(weights: &mut Fields<'_>) -> Result<ZeroPoint> {
    let kind = weights.text("type")?.unwrap_or("int");
    if kind != "int" {
        return Err(weights.wrong("type", "int", shown_name(kind)));
    }
    if let Some(value) = weights
        .take("dynamic")
        .filter(|value| **value != Value::Bool(false))
    {
        return Err(weights.wrong("dynamic", "false", shown(value)));
    }
    for name in OF_QUANTIZING {
        weights.take(name);
    }
    let layout = Layout::CompressedTensors;
    let group = match weights.text("strategy")? {
        Some("channel") => {
            weights.take("group_size");
            None
        }
        Some("group") | None => group(weights)?,
        Some(other) => {
            return Err(weights.wrong("strategy", "group or channel", shown_name(other)));
        }
    };
    Ok(ZeroPoint {
        layout,
        bits: bits(weights, "num_bits", layout)?,
        group,
        is_symmetric: weights.flag_or("symmetric", true)?,
        skipped: Skipped::default(),
    })
}
