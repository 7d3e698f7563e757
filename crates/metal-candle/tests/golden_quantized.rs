//! A checkpoint that mlx-lm quantized computes, and trains, what MLX does
//! (`scripts/golden/make_mlx.py`).
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::Device;
use metal_candle::lora::Error;
use metal_candle::train::Parameters;
use support::quantized::{self, adapted};

#[test]
fn logits_and_greedy_tokens_equal_mlx() {
    quantized::logits_and_greedy_tokens_equal_mlx(&Device::Cpu);
}

#[test]
fn loss_and_gradients_of_an_adapter_equal_mlx() {
    quantized::loss_and_gradients_of_an_adapter_equal_mlx(&Device::Cpu);
}

#[test]
fn only_some_matrices_are_packed_and_none_is_merged() {
    let (mut model, set, _) = adapted(&Device::Cpu);
    let packed: Vec<String> = model
        .decoder
        .packed()
        .map(|(path, _)| path.into())
        .collect();
    assert_eq!(packed.len(), 15, "{packed:?}");
    assert!(packed.contains(&"lm_head".into()) && packed.contains(&"model.embed_tokens".into()));
    let plain = "model.layers.1.mlp.up_proj";
    assert!(!packed.contains(&plain.into()));
    let error = model.fuse(&set).unwrap_err();
    let Error::Packed { tensors } = &error else {
        panic!("{error}");
    };
    assert_eq!(tensors.len(), set.parameters().len() / 2 - 1);
    assert!(!tensors.contains(&format!("{plain}.weight")));
    assert!(Parameters::all_weights(&mut model).is_err());
}
