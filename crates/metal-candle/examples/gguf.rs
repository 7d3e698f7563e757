//! Tokens of texts, logits of the first ones and greedy tokens of a model, for `scripts/interop/check_gguf.py` to compare
//! with those of transformers and llama.cpp.
//!
//! ```sh
//! cargo run --release --example gguf -p metal-candle -- MODEL texts.json out.safetensors
//! ```

use candle_core::{DType, Device, Tensor};
use metal_candle::data::Tokenizer;
use metal_candle::files::{read_text, write_tensors};
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::Context;
use metal_candle::models::Model;
use std::path::Path;

/// Texts whose logits are written.
const N_LOGITS: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, texts, out] = &words[..] else {
        return Err("arguments: MODEL TEXTS.json OUT.safetensors".into());
    };
    let tokenizer = Tokenizer::from_folder(Path::new(model))?;
    let model = Model::load(Path::new(model), &Device::Cpu)?;
    let texts: Vec<String> = serde_json::from_str(&read_text(Path::new(texts))?)?;
    let mut tensors = vec![];
    for (i, text) in texts.iter().enumerate() {
        let ids = tokenizer.encode(text)?;
        let stored = Tensor::new(&ids[..], &Device::Cpu)?.to_dtype(DType::I64)?;
        tensors.push((format!("ids.{i}"), stored));
        if i < N_LOGITS {
            let layout = Layout::new(Arrangement::Padded, &[ids.len()]);
            let logits = model.decoder.forward(&ids, &layout, &Context::default())?;
            tensors.push((format!("logits.{i}"), logits.squeeze(0)?));
        }
    }
    Ok(write_tensors(Path::new(out), tensors)?)
}
