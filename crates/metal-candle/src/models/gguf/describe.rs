//! Metadata of a model, as llama.cpp's converter writes them.

use super::architecture::{Architecture, COMMON, Kind};
use super::rope::llama3;
use crate::gguf::{DataType, TensorSource, Writer};
use crate::models::layers::rope::{RopeConfig, Scaling};
use crate::models::{Config, Error, Model, Result};
use serde_json::Value;

/// Adds the settings of a model.
pub(super) fn settings(
    writer: &mut Writer<'_>,
    architecture: &Architecture,
    model: &Model,
    file_type: u32,
) -> Result<()> {
    writer.text("general.architecture", architecture.name);
    writer.text("general.type", "model");
    writer.u32("general.file_type", file_type);
    writer.u32("general.quantization_version", 2);
    let key = |name: &str| format!("{}.{name}", architecture.name);
    for &(name, field, kind) in COMMON.iter().chain(architecture.fields) {
        let value = value(model, field);
        match (kind, value.as_u64(), value.as_f64()) {
            (Kind::Size, Some(size), _) => writer.u32(&key(name), whole(field, size)?),
            (Kind::Float, _, Some(number)) => writer.f32(&key(name), number as f32),
            _ => {}
        }
    }
    writer.u32(
        &key("vocab_size"),
        whole("vocab_size", model.config.vocab_size as u64)?,
    );
    if let Some(width) = value(model, "head_dim").as_u64() {
        writer.u32(&key("attention.key_length"), whole("head_dim", width)?);
        writer.u32(&key("attention.value_length"), whole("head_dim", width)?);
    }
    Ok(())
}

/// Value of a field; what a configuration leaves out and another field says.
fn value(model: &Model, field: &str) -> Value {
    let given = &model.raw_config[field];
    match field {
        "rope_theta" => rope(&model.config).map_or(Value::Null, |rope| rope.theta.into()),
        "num_key_value_heads" if given.is_null() => model.raw_config["num_attention_heads"].clone(),
        _ => given.clone(),
    }
}

fn whole(field: &'static str, size: u64) -> Result<u32> {
    let reason = "GGUF files have sizes of 32 bits";
    u32::try_from(size).map_err(|_| Error::unsupported(field, size, reason))
}

fn rope(config: &Config) -> Option<RopeConfig> {
    config.ropes().into_iter().next()
}

/// Adds the settings of the rotary embedding, and the factors of its frequencies.
pub(super) fn rope_settings(
    writer: &mut Writer<'_>,
    architecture: &Architecture,
    config: &Config,
) -> Result<()> {
    let Some(rope) = rope(config) else {
        return Ok(());
    };
    let key = |name: &str| format!("{}.rope.{name}", architecture.name);
    writer.u32(
        &key("dimension_count"),
        whole("head_dim", 2 * rope.n_pairs as u64)?,
    );
    match &rope.scaling {
        Scaling::None => {}
        Scaling::Linear { factor } => {
            writer.text(&key("scaling.type"), "linear");
            writer.f32(&key("scaling.factor"), *factor as f32);
        }
        Scaling::Llama3(scaling) => {
            let factors = llama3(scaling, rope.theta, rope.n_pairs);
            writer.tensor(factors_tensor("rope_freqs.weight", factors));
        }
        Scaling::Yarn(scaling) => {
            writer.text(&key("scaling.type"), "yarn");
            writer.f32(&key("scaling.factor"), scaling.factor as f32);
            writer.u32(
                &key("scaling.original_context_length"),
                scaling.original as u32,
            );
        }
        Scaling::LongRope(scaling) => {
            let stretched = scaling.factor.max(1.0).ln() / scaling.original.ln();
            let attention = scaling.attention_factor.unwrap_or((1.0 + stretched).sqrt());
            writer.f32(&key("scaling.attn_factor"), attention as f32);
            writer.u32(
                &key("scaling.original_context_length"),
                scaling.original as u32,
            );
            writer.tensor(factors_tensor(
                "rope_factors_long.weight",
                scaling.long.clone(),
            ));
            writer.tensor(factors_tensor(
                "rope_factors_short.weight",
                scaling.short.clone(),
            ));
        }
    }
    Ok(())
}

fn factors_tensor(name: &str, factors: Vec<f64>) -> TensorSource<'static> {
    TensorSource {
        name: name.into(),
        shape: vec![factors.len()],
        data_type: DataType::F32,
        bytes: Box::new(move || {
            let bytes = factors
                .iter()
                .flat_map(|factor| (*factor as f32).to_le_bytes());
            Ok(bytes.collect())
        }),
    }
}
