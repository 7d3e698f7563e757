//! The adapter as mlx-lm keeps it: `adapter_config.json` and `adapters.safetensors`.

use crate::input::{FUSE, INSPECT, Input, RESUME, WITH_ADAPTER, write};
use crate::{mutate, tensor_file};
use candle_core::{Device, Tensor};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;

const CONFIG: &str = "adapters/adapter_config.json";
const TENSORS: &str = "adapters/adapters.safetensors";
const PEFT: &str = "adapters/adapter_model.safetensors";
const A: &str = "model.layers.0.self_attn.q_proj.lora_a";
const CONVERT: &str = "adapter convert adapters out --to peft";
const SHOW: &str = "adapter show adapters";

pub fn inputs() -> Vec<Input> {
    let commands = [WITH_ADAPTER, FUSE, INSPECT, RESUME, CONVERT, SHOW];
    let mut inputs = tensor_file::all(TENSORS, WITH_ADAPTER, A);
    inputs.extend(mutate::json_of(CONFIG, &commands, 40));
    inputs.extend(mutate::bytes_of(TENSORS, &commands, 40));
    inputs.push(Input::new("as it is", WITH_ADAPTER).and(CONVERT).accepted());
    let inputs = inputs.into_iter().map(|input| {
        let name = format!("mlx: {}", input.name);
        input.named(&name).before(to_mlx)
    });
    inputs.collect()
}

/// Keeps the adapter of PEFT in a folder as mlx-lm does.
fn to_mlx(folder: &Path) {
    let peft = candle_core::safetensors::load(folder.join(PEFT), &Device::Cpu).unwrap();
    let rank = peft.iter().find(|(name, _)| name.contains("lora_A"));
    let rank = rank.unwrap().1.dims()[0];
    let tensors: HashMap<String, Tensor> = peft.into_iter().map(of_mlx).collect();
    candle_core::safetensors::save(&tensors, folder.join(TENSORS)).unwrap();
    std::fs::remove_file(folder.join(PEFT)).unwrap();
    let config = json!({
        "fine_tune_type": "lora",
        "num_layers": -1,
        "lora_parameters": {"rank": rank, "scale": 2.0, "dropout": 0.0},
    });
    write(&folder.join(CONFIG), config.to_string().as_bytes());
}

fn of_mlx((name, tensor): (String, Tensor)) -> (String, Tensor) {
    let name = name.replace("base_model.model.", "");
    let name = name.replace("lora_A.weight", "lora_a");
    let name = name.replace("lora_B.weight", "lora_b");
    (name, tensor.t().unwrap().contiguous().unwrap())
}
