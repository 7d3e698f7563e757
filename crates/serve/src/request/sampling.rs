use super::fields::Fields;
use crate::error::{Error, Result};
use crate::identity;
use crate::settings::Settings;
use metal_candle::generate::Sampling;
use serde_json::Value;

const ANY: (f32, f32) = (f32::MIN, f32::MAX);
const NOT_NEGATIVE: (f32, f32) = (0.0, f32::MAX);
const SHARE: (f32, f32) = (0.0, 1.0);

/// Reads how tokens are chosen, with the server's values where nothing is said.
pub fn read(fields: &mut Fields, settings: &Settings) -> Result<Sampling> {
    let or = Sampling::default();
    let mut number = |name: &str, range, or| Ok(fields.number(name, range)?.unwrap_or(or));
    let mut sampling = Sampling {
        temperature: number("temperature", NOT_NEGATIVE, settings.temperature)?,
        top_p: number("top_p", SHARE, settings.top_p)?,
        min_p: number("min_p", SHARE, settings.min_p)?,
        xtc_probability: number("xtc_probability", SHARE, or.xtc_probability)?,
        xtc_threshold: number("xtc_threshold", (0.0, 0.5), or.xtc_threshold)?,
        repetition_penalty: number("repetition_penalty", NOT_NEGATIVE, 1.0)?,
        presence_penalty: number("presence_penalty", ANY, or.presence_penalty)?,
        frequency_penalty: number("frequency_penalty", ANY, or.frequency_penalty)?,
        ..or
    };
    // mlx-lm's word for none.
    if sampling.repetition_penalty == 0.0 {
        sampling.repetition_penalty = 1.0;
    }
    let mut count = |name: &str, or| Ok(fields.count(name, (0, usize::MAX))?.unwrap_or(or));
    sampling.top_k = count("top_k", settings.top_k)?;
    sampling.repetition_context = count("repetition_context_size", or.repetition_context)?;
    sampling.presence_context = count("presence_context_size", or.presence_context)?;
    sampling.frequency_context = count("frequency_context_size", or.frequency_context)?;
    sampling.seed = seed(fields)?;
    Ok(sampling)
}

/// The seed, a fresh one where none is given.
fn seed(fields: &mut Fields) -> Result<u64> {
    let whole = |value: &Value| value.as_u64().or(value.as_i64().map(i64::cast_unsigned));
    let given = fields.taken("seed", "a whole number of 64 bits", whole)?;
    Ok(given.unwrap_or_else(identity::random))
}

/// Reads what is added to the logits of single tokens, of which the model has `vocab_size`.
pub fn logit_bias(fields: &mut Fields, vocab_size: usize) -> Result<Vec<(u32, f32)>> {
    const NAME: &str = "logit_bias";
    let biases = fields.object(NAME)?.unwrap_or_default().into_iter();
    let read = biases.map(|(token, bias)| {
        let id = token.parse().ok().filter(|id| (*id as usize) < vocab_size);
        let bias = bias.as_f64().map(|bias| bias as f32);
        match (id, bias.filter(|bias| bias.is_finite())) {
            (Some(id), Some(bias)) => Ok((id, bias)),
            _ => Err(Error::field(
                NAME,
                format_args!(
                    "logit_bias must give numbers to token ids below {vocab_size}, got {token:?}"
                ),
            )),
        }
    });
    read.collect()
}
