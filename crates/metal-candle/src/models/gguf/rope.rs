use super::config::head_width;
use super::settings::Settings;
use crate::models::Result;
use crate::models::layers::rope::Llama3;
use serde_json::{Map, Value, json};
use std::f64::consts::PI;

/// Factors of frequencies, for texts of any length, and up to and beyond the length of the pre-training.
pub(super) const FACTORS: [&str; 3] = [
    "rope_freqs.weight",
    "rope_factors_short.weight",
    "rope_factors_long.weight",
];

/// Puts what a file says of the rotary embedding into the configuration.
pub(super) fn put(settings: &Settings<'_>, fields: &mut Map<String, Value>) -> Result<()> {
    let width = head_width(settings)?;
    let rotated = settings.size("rope.dimension_count")?.unwrap_or(width);
    let is_partial = ["phi3", "glm4"].contains(&settings.architecture.name);
    match rotated == width {
        _ if is_partial => {
            let factor = rotated as f64 / width.max(1) as f64;
            fields.insert("partial_rotary_factor".into(), factor.into());
        }
        true => {}
        false => {
            let expected = format!("{width}, the width of a head");
            return Err(settings
                .wrong("rope.dimension_count", expected, rotated)
                .into());
        }
    }
    let scaling = scaling(settings, fields)?;
    fields.extend(scaling.map(|scaling| ("rope_scaling".into(), scaling)));
    Ok(())
}

fn scaling(settings: &Settings<'_>, fields: &Map<String, Value>) -> Result<Option<Value>> {
    let kind = settings.text("rope.scaling.type")?;
    let factor = settings.float("rope.scaling.factor")?;
    let original = settings.size("rope.scaling.original_context_length")?;
    let attention = settings.float("rope.scaling.attn_factor")?;
    let [freqs, short, long] = FACTORS.map(|name| factors(settings, name));
    if let (Some(short), Some(long)) = (short?, long?) {
        return Ok(Some(long_rope(short, long, original, attention)));
    }
    if let Some(freqs) = freqs? {
        let theta = fields
            .get("rope_theta")
            .and_then(Value::as_f64)
            .unwrap_or(1e4);
        return Ok(Some(of_factors(freqs, theta, fields)));
    }
    let mut scaling = match kind {
        // A file without a kind means linear scaling where it has a factor.
        None if factor.is_none() => return Ok(None),
        Some("none") => return Ok(None),
        None | Some("linear") => json!({"rope_type": "linear"}),
        Some("yarn") => json!({"rope_type": "yarn"}),
        Some(other) => {
            let expected = "none, linear or yarn where there are no factors";
            return Err(settings.wrong("rope.scaling.type", expected, other).into());
        }
    };
    if let Some(other) = attention.filter(|attention| *attention != 1.0) {
        let expected = "1 where there are no factors of frequencies";
        return Err(settings
            .wrong("rope.scaling.attn_factor", expected, other)
            .into());
    }
    if let Some(factor) = factor {
        scaling["factor"] = factor.into();
    }
    if let Some(original) = original {
        scaling["original_max_position_embeddings"] = original.into();
    }
    Ok(Some(scaling))
}

fn factors(settings: &Settings<'_>, name: &str) -> Result<Option<Vec<f64>>> {
    let Some(info) = settings.file.info(name) else {
        return Ok(None);
    };
    let numbers = settings
        .file
        .values(info, info.elem_count(), f32::from_le_bytes)?;
    Ok(Some(numbers.into_iter().map(f64::from).collect()))
}

fn long_rope(
    short: Vec<f64>,
    long: Vec<f64>,
    original: Option<u64>,
    attention: Option<f64>,
) -> Value {
    let mut scaling = json!({"rope_type": "longrope", "short_factor": short, "long_factor": long});
    if let Some(original) = original {
        scaling["original_max_position_embeddings"] = original.into();
    }
    if let Some(attention) = attention {
        scaling["attention_factor"] = attention.into();
    }
    scaling
}

/// A scaling with these factors: Llama 3's where they are of its formula, or else one whose factors are the same for
/// texts of any length.
fn of_factors(factors: Vec<f64>, theta: f64, fields: &Map<String, Value>) -> Value {
    let scaling = Llama3 {
        factor: factors.iter().copied().fold(1.0, f64::max),
        ..OF_LLAMA3
    };
    let of_llama3 = llama3(&scaling, theta, factors.len());
    let is_close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-5 * b;
    if factors.iter().zip(&of_llama3).all(is_close) {
        return json!({
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original,
        });
    }
    let tokens = fields
        .get("max_position_embeddings")
        .and_then(Value::as_u64);
    long_rope(factors.clone(), factors, tokens, Some(1.0))
}

/// What all models of Llama 3 have.
const OF_LLAMA3: Llama3 = Llama3 {
    factor: 1.0,
    low: 1.0,
    high: 4.0,
    original: 8192.0,
};

/// Factors of Llama 3: frequencies of few turns over the original length are divided by `factor`, those of many turns
/// are kept, and between them there is a slope.
pub(super) fn llama3(scaling: &Llama3, theta: f64, n_pairs: usize) -> Vec<f64> {
    let of_pair = |i: usize| {
        let period = 2.0 * PI * theta.powf(i as f64 / n_pairs as f64);
        let turns = scaling.original / period;
        let slope = (turns - scaling.low) / (scaling.high - scaling.low);
        let kept = slope.clamp(0.0, 1.0);
        1.0 / ((1.0 - kept) / scaling.factor + kept)
    };
    (0..n_pairs).map(of_pair).collect()
}
