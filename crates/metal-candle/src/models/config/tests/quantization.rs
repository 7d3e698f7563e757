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
    for settings in [
        json!({"quantization": {"group_size": 64, "bits": 5}}),
        json!({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4", "lm_head": false}}),
        json!({"quantization": {"group_size": 16, "bits": 4, "mode": "nvfp4"}}),
        json!({"quantization_config": bitsandbytes(json!({"bnb_4bit_quant_type": "nf4"}))}),
        json!({"quantization_config": {"load_in_8bit": true, "llm_int8_threshold": 6.0}}),
        json!({"quantization_config": {"quant_method": "fp8", "ignored_layers": ["lm_head"]}}),
        json!({"quantization_config": {"quant_method": "fp8", "weight_block_size": null}}),
        json!({"quantization_config": {"quant_method": "metal", "bits": 4, "group_size": 64}}),
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
    ] {
        refuses(with(llama(), settings), &["quantization", expected]);
    }
}
