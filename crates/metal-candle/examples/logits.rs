//! Logits of a text under an adapter of any format, for `scripts/interop/check_adapter.py` to compare with PEFT's,
//! and `check_adapter_mlx.py` with mlx-lm's.
//!
//! ```sh
//! cargo run --release --example logits -p metal-candle -- MODEL ADAPTER "3 March 2021" logits.safetensors
//! python scripts/interop/check_adapter.py MODEL ADAPTER logits.safetensors
//! ```

use candle_core::{DType, Device, Tensor};
use metal_candle::LanguageModel;
use metal_candle::files::write_tensors;
use metal_candle::layout::{Arrangement, Layout};
use metal_candle::lora::Context;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, adapter, text, out] = &words[..] else {
        return Err("arguments: MODEL ADAPTER TEXT OUT.safetensors".into());
    };
    let adapter = Path::new(adapter);
    let loaded = LanguageModel::load_for(model, Some(adapter), &Device::Cpu)?;
    let ids = loaded.tokenizer.encode(text)?;
    let set = loaded.load_adapter(adapter)?.set;
    let context = Context::inference(Some(set));
    let layout = Layout::new(Arrangement::Padded, &[ids.len()]);
    let logits = loaded.model.decoder.forward(&ids, &layout, &context)?;
    let input_ids = Tensor::new(&ids[..], &Device::Cpu)?.unsqueeze(0)?;
    let input_ids: Tensor = input_ids.to_dtype(DType::I64)?;
    let tensors = vec![("input_ids".into(), input_ids), ("logits".into(), logits)];
    Ok(write_tensors(Path::new(out), tensors)?)
}
