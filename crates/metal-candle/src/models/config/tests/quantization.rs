//! Settings of quantized checkpoints.

use super::*;

#[test]
fn quantizations_that_are_built_are_read() {
    let bitsandbytes = |more| {
        with(
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true}),
            more,
        )
    };
    let gptq = |more| {
        with(
            json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": true}),
            more,
        )
    };
    let compressed = |weights, more| {
        let weights = with(
            json!({"num_bits": 4, "type": "int", "group_size": 32, "symmetric": true}),
            weights,
        );
        let groups = json!({"group_0": {"targets": ["Linear"], "weights": weights}});
        with(
            json!({"quant_method": "compressed-tensors", "config_groups": groups}),
            more,
        )
    };
    for settings in [
        json!({"quantization": {"group_size": 64, "bits": 5}}),
        json!({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4", "lm_head": false}}),
        json!({"quantization": {"group_size": 16, "bits": 4, "mode": "nvfp4"}}),
        json!({"quantization_config": bitsandbytes(json!({"bnb_4bit_quant_type": "nf4"}))}),
        json!({"quantization_config": {"load_in_8bit": true, "llm_int8_threshold": 6.0}}),
        json!({"quantization_config": {"quant_method": "fp8", "ignored_layers": ["lm_head"]}}),
        json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": null}}),
        json!({"quantization_config": {"quant_method": "metal", "bits": 4, "group_size": 64}}),
        json!({"quantization_config": gptq(json!({"desc_act": true, "checkpoint_format": "gptq_v2"}))}),
        json!({"quantization_config": gptq(json!({"group_size": -1, "bits": 8, "dynamic": {}}))}),
        json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "GEMM"}}),
        json!({"quantization_config": compressed(json!({"strategy": "channel", "group_size": null}), json!({}))}),
    ] {
        accepts(with(llama(), settings));
    }
    for (settings, expected) in [
        (
            json!({"quantization": {"group_size": 32, "bits": 4, "mode": "int4"}}),
            "mode must be affine, mxfp4",
        ),
        (
            json!({"quantization": {"group_size": 64, "bits": 4, "mode": "mxfp4"}}),
            "group_size must be one of [32]",
        ),
        (
            json!({"quantization_config": bitsandbytes(json!({"load_in_8bit": true}))}),
            "but not both",
        ),
        (
            json!({"quantization_config": bitsandbytes(json!({"llm_int8_rank": 3}))}),
            "llm_int8_rank must be absent",
        ),
        (
            json!({"quantization_config": {"quant_method": "fp8", "fmt": "e5m2"}}),
            "fmt must be e4m3, got e5m2",
        ),
        (
            json!({"quantization_config": {"quant_method": "metal", "bits": 3, "group_size": 64}}),
            "bits must be one of [2, 4, 8]",
        ),
        (
            json!({"quantization_config": gptq(json!({"bits": 5}))}),
            "quantization_config.bits must be one of [2, 3, 4, 8], got 5",
        ),
        (
            json!({"quantization_config": gptq(json!({"group_size": -2}))}),
            "group_size must be a whole number from 1",
        ),
        (
            json!({"quantization_config": gptq(json!({"checkpoint_format": "marlin"}))}),
            "checkpoint_format must be gptq or gptq_v2, got marlin",
        ),
        (
            json!({"quantization_config": gptq(json!({"dynamic": {"-:.*": {}}}))}),
            "dynamic must be absent",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemv"}}),
            "version must be gemm, got gemv",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq", "group_size": 64}}),
            "quantization_config.bits must be given",
        ),
        (
            json!({"quantization_config": compressed(json!({"type": "float"}), json!({}))}),
            "config_groups.group_0.weights.type must be int, got float",
        ),
        (
            json!({"quantization_config": compressed(json!({}), json!({"format": "nvfp4-pack-quantized"}))}),
            "format must be pack-quantized, got nvfp4-pack-quantized",
        ),
        (
            json!({"quantization_config": compressed(json!({}), json!({"kv_cache_scheme": {"num_bits": 8}}))}),
            "kv_cache_scheme must be absent",
        ),
    ] {
        refuses(with(llama(), settings), &["quantization", expected]);
    }
}
