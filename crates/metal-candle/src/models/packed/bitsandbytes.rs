//! Matrices that bitsandbytes quantizes: 4 bits with a state beside each matrix, or 8 bits by rows.

use super::Listed;
use crate::models::config::fields::Fields;
use crate::models::config::{Bits, BitsAndBytes};
use crate::models::json::{shown, shown_name};
use crate::models::weights::Weights;
use crate::models::{Result, weights::TensorShape};
use candle_core::{DType, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::bnb_4bit::{Bnb4bit, Kind, Nested, Parts};
use metal_candle_kernels::weight::bnb_int8::BnbInt8;
use safetensors::Dtype;
use serde_json::{Map, Value};
use std::path::Path;

/// The matrix at `path`, if it is packed.
pub(super) fn matrix(
    weights: &Weights<'_>,
    settings: &BitsAndBytes,
    path: &str,
    dims: (usize, usize),
) -> Result<Option<Weight>> {
    let listed = Listed {
        skipped: &settings.skipped,
        field: "llm_int8_skip_modules",
    };
    let key = match settings.bits {
        Bits::Eight => format!("{path}.SCB"),
        Bits::Four => state_name(weights, path),
    };
    if !weights.has(&key) {
        listed.check_dense(weights, path, &key);
        return Ok(None);
    }
    listed.check_packed(weights, path, &key);
    match settings.bits {
        Bits::Eight => eight_bits(weights, path, dims),
        Bits::Four => four_bits(weights, path, &key, dims),
    }
    .map(Some)
}

const KINDS: [Kind; 2] = [Kind::Nf4, Kind::Fp4];

/// The tensor that says how a matrix is packed; where there is none, that which is missing.
fn state_name(weights: &Weights<'_>, path: &str) -> String {
    let name = |kind: Kind| format!("{path}.weight.quant_state.bitsandbytes__{}", kind.name());
    let there = KINDS.into_iter().map(name).find(|name| weights.has(name));
    there.unwrap_or_else(|| name(Kind::Nf4))
}

fn eight_bits(weights: &Weights<'_>, path: &str, (n, k): (usize, usize)) -> Result<Weight> {
    let format = format!("{path}.weight_format");
    if weights.has(&format) {
        check_row_major(weights, &format)?;
    }
    let parts = [
        weights.bytes(
            &format!("{path}.weight"),
            TensorShape::Is(&[n, k]),
            &[Dtype::I8],
        )?,
        weights.scales(path, "SCB", n, &[Dtype::F32])?,
    ];
    weights.pack(path, parts, |[bytes, scb]| {
        Ok(BnbInt8::new([bytes.reshape((n, k))?, scb])?.into())
    })
}

/// Other orders are those of kernels on GPUs.
fn check_row_major(weights: &Weights<'_>, name: &str) -> Result<()> {
    let format = weights.bytes(name, TensorShape::Bytes(1), &[Dtype::U8])?;
    let format = format.to_dtype(DType::U8)?.to_vec1::<u8>()?;
    if let Some(other) = format.first().filter(|format| **format != 0) {
        weights.problem(format!("{name}: expected 0 (rows), got {other}"));
    }
    Ok(())
}

/// State of a matrix.
#[derive(Debug, PartialEq)]
struct State {
    kind: Kind,
    block: usize,
    nested: Option<(usize, f32)>,
}

fn four_bits(weights: &Weights<'_>, path: &str, key: &str, dims: (usize, usize)) -> Result<Weight> {
    let Some(object) = weights.object(key)? else {
        return Ok(weights.stand_in()?.into());
    };
    match State::read(&object, key, dims) {
        Ok(state) => packed(weights, path, &state, dims),
        Err(error) => {
            weights.problem(error.to_string());
            Ok(weights.stand_in()?.into())
        }
    }
}

fn packed(
    weights: &Weights<'_>,
    path: &str,
    state: &State,
    dims: (usize, usize),
) -> Result<Weight> {
    let name = |part: &str| format!("{path}.weight.{part}");
    let numbers = dims.0 * dims.1;
    let blocks = numbers.div_ceil(state.block);
    let bytes = TensorShape::Bytes(numbers.div_ceil(2));
    let float = |part: &str, count: usize| weights.of_dtypes(&name(part), count, &[Dtype::F32]);
    let bytes = weights.bytes(&format!("{path}.weight"), bytes, &[])?;
    let quant_map = float("quant_map", 16)?;
    let Some((block, offset)) = state.nested else {
        let absmax = weights.scales(path, "weight.absmax", blocks, &[Dtype::F32])?;
        return weights.pack(path, [bytes, absmax, quant_map], |parts| {
            state.weight(dims, parts, None)
        });
    };
    let absmax = weights.of_dtypes(&name("absmax"), blocks, &[Dtype::U8])?;
    let of_blocks = blocks.div_ceil(block);
    let nested_absmax = weights.scales(path, "weight.nested_absmax", of_blocks, &[Dtype::F32])?;
    let nested_map = float("nested_quant_map", 256)?;
    let parts = [bytes, absmax, quant_map, nested_absmax, nested_map];
    weights.pack(path, parts, |[bytes, codes, quant_map, absmax, map]| {
        let nested = Nested {
            absmax,
            quant_map: map,
            block,
            offset,
        };
        state.weight(dims, [bytes, codes, quant_map], Some(nested))
    })
}

impl State {
    fn weight(
        &self,
        dims: (usize, usize),
        [bytes, absmax, quant_map]: [Tensor; 3],
        nested: Option<Nested>,
    ) -> metal_candle_kernels::Result<Weight> {
        let parts = Parts {
            // As bitsandbytes has it, and its file.
            bytes: bytes.reshape(((), 1))?,
            absmax,
            quant_map,
            nested,
        };
        Ok(Bnb4bit::new(self.kind, dims, self.block, parts)?.into())
    }

    /// The JSON text in the tensor `key`, which must be that of a matrix of `dims`.
    fn read(object: &Map<String, Value>, key: &str, dims: (usize, usize)) -> Result<Self> {
        let mut fields = Fields::new(object, Path::new(key));
        let kind = fields.text("quant_type")?;
        let kind = fields.required("quant_type", kind)?;
        let Some(kind) = KINDS
            .into_iter()
            .find(|it| it.name() == kind && key.ends_with(kind))
        else {
            return Err(fields.wrong("quant_type", "that of the tensor's name", shown_name(kind)));
        };
        // What its program rounds to.
        fields.take("dtype");
        check_shape(&mut fields, dims)?;
        let block = fields.size("blocksize")?;
        let block = fields.required("blocksize", block)?;
        let nested = nested(&mut fields)?;
        match fields.untaken().next() {
            None => Ok(Self {
                kind,
                block,
                nested,
            }),
            Some((name, value)) => Err(fields.wrong(&shown_name(name), "absent", shown(value))),
        }
    }
}

fn check_shape(fields: &mut Fields<'_>, (n, k): (usize, usize)) -> Result<()> {
    let shape = fields.take("shape").unwrap_or(&Value::Null);
    match *shape == serde_json::json!([n, k]) {
        true => Ok(()),
        false => Err(fields.wrong(
            "shape",
            format!("[{n},{k}], as the model has it"),
            shown(shape),
        )),
    }
}

/// Blocks of blocks, and what is added to magnitudes.
fn nested(fields: &mut Fields<'_>) -> Result<Option<(usize, f32)>> {
    let block = fields.size("nested_blocksize")?;
    let dtype = fields.text("nested_dtype")?;
    let offset = fields.number("nested_offset", f64::from(f32::MIN)..=f64::from(f32::MAX))?;
    if block.is_none() && dtype.is_none() && offset.is_none() {
        return Ok(None);
    }
    match dtype {
        Some("float32") => {}
        other => {
            let got = other.map_or("nothing".into(), shown_name);
            return Err(fields.wrong("nested_dtype", "float32", got));
        }
    }
    let block = fields.required("nested_blocksize", block)?;
    let offset = fields.required("nested_offset", offset)?;
    Ok(Some((block, offset as f32)))
}
