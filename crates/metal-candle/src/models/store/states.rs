//! Texts that files have beside the tensors of packed matrices.

use crate::models::{Decoder, Result};
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::weight::bnb_4bit::Bnb4bit;
use serde_json::{Value, json};

/// Texts of a model whose other numbers are of `dtype`, by name.
pub(super) fn of(decoder: &Decoder, dtype: DType) -> Result<Vec<(String, Tensor)>> {
    let mut states = vec![];
    for (path, weight) in decoder.packed() {
        let Some(packed) = weight.packed_as::<Bnb4bit>() else {
            continue;
        };
        let kind = packed.table().name();
        let text = bitsandbytes(packed, weight.dims()?, dtype).to_string();
        let name = format!("{path}.weight.quant_state.bitsandbytes__{kind}");
        states.push((name, Tensor::new(text.as_bytes(), &Device::Cpu)?));
    }
    Ok(states)
}

/// State of a matrix, as `QuantState.as_dict` has it.
fn bitsandbytes(packed: &Bnb4bit, (n, k): (usize, usize), dtype: DType) -> Value {
    let dtype = match dtype {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    };
    let mut state = json!({
        "quant_type": packed.table().name(),
        "blocksize": packed.block(),
        "dtype": dtype,
        "shape": [n, k],
    });
    if let Some(nested) = packed.nested() {
        state["nested_blocksize"] = nested.block.into();
        state["nested_dtype"] = "float32".into();
        state["nested_offset"] = nested.offset.into();
    }
    state
}
