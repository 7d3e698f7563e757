use super::Config;
use crate::models::{Error, Llama3, Result, Scaling};
use serde_json::{Value, json};
use std::path::Path;

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 96,
        "max_position_embeddings": 64,
    })
}

fn qwen2() -> Value {
    with(llama(), json!({"model_type": "qwen2"}))
}

fn with(mut config: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn parse(config: &Value) -> Result<Config> {
    Config::parse(config, Path::new("m/config.json"))
}

/// The scaling of these tests.
fn llama3(original: f64) -> Scaling {
    Scaling::Llama3(Llama3 {
        factor: 8.0,
        low: 1.0,
        high: 4.0,
        original,
    })
}

#[track_caller]
fn accepts(config: Value) -> Config {
    parse(&config).unwrap_or_else(|error| panic!("{config}: {error}"))
}

#[track_caller]
fn refuses(config: Value, expected: &[&str]) {
    let message = match parse(&config) {
        Ok(_) => panic!("accepted {config}"),
        Err(error) => error.to_string(),
    };
    for text in expected {
        assert!(message.contains(text), "{config}: no {text:?} in {message}");
    }
}

/// As published, and as transformers 4.46 and 5.24 write every field of the types that are built.
#[test]
fn public_configurations_are_understood() {
    let lines = include_str!("../../../tests/public_configs.jsonl").lines();
    let configs: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(configs.len() > 35);
    for entry in configs {
        if let Err(error) = parse(&entry["config"]) {
            panic!("{}: {error}", entry["model"]);
        }
    }
}

#[test]
fn fields_that_nobody_understands_are_named_with_their_values() {
    let many =
        json!({"new_field": 1, "attention_sink": true, "layer_scale": "on", "extra": {"a": 1}});
    let expected = [
        "new_field = 1",
        "attention_sink = true",
        "layer_scale = \"on\"",
        "extra = {\"a\":1}",
    ];
    refuses(with(llama(), many), &expected);
    for neutral in [
        json!({"a": null, "b": false, "c": "", "d": [], "e": {}}),
        json!({"embedding_multiplier": 1, "logits_scaling": 1.0, "is_causal": true, "num_experts": 0}),
        json!({"_note": 3, "unsloth_version": "2025", "auto_map": {"AutoConfig": "x.Y"}, "embd_pdrop": 0.1}),
    ] {
        accepts(with(llama(), neutral));
    }
    for other in [
        json!({"embedding_multiplier": 12}),
        json!({"is_causal": false}),
        json!({"num_local_experts": 8}),
        json!({"position_embedding_type": "alibi"}),
        json!({"final_logit_softcapping": 30.0}),
        json!({"rope_interleaved": true}),
        json!({"attention_multiplier": 1.0}),
    ] {
        let name = other.as_object().unwrap().keys().next().unwrap().clone();
        refuses(with(llama(), other), &[&name, "may change the result"]);
    }
}

#[test]
fn a_value_is_shown_bounded() {
    let long = "x".repeat(10_000);
    let error = parse(&with(llama(), json!({"new_field": long}))).unwrap_err();
    assert!(matches!(error, Error::UnknownFields { .. }));
    assert!(error.to_string().len() < 300);
}

#[test]
fn a_window_is_refused_where_it_would_not_act() {
    let narrow = json!({"sliding_window": 16});
    refuses(with(llama(), narrow.clone()), &["sliding_window = 16"]);
    accepts(with(llama(), json!({"sliding_window": 64})));
    accepts(with(
        llama(),
        json!({"sliding_window": 16, "use_sliding_window": false}),
    ));
    accepts(with(qwen2(), narrow));
    for kind in ["linear_attention", "chunked_attention"] {
        let kinds = json!({"layer_types": ["full_attention", kind]});
        refuses(with(qwen2(), kinds), &["layer_types", kind]);
    }
    let kinds = json!({"layer_types": ["full_attention", "sliding_attention"]});
    refuses(with(qwen2(), kinds), &["there is no sliding_window"]);
    let kinds = json!({"layer_types": ["full_attention"]});
    refuses(with(qwen2(), kinds), &["layer_types must be a list of 2"]);
}

#[test]
fn spellings_of_one_setting_must_agree() {
    let scaling = json!({
        "factor": 8, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    });
    let kinds = |first: &str, second: &str| {
        with(scaling.clone(), json!({"type": first, "rope_type": second}))
    };
    let both = accepts(with(
        llama(),
        json!({"rope_scaling": kinds("llama3", "llama3"), "rope_theta": 5000}),
    ));
    assert_eq!(both.ropes()[0].scaling, llama3(32.0));
    assert_eq!(both.ropes()[0].theta, 5000.0);
    let expected = [
        "rope_scaling.rope_type = \"llama3\"",
        "rope_scaling.type = \"default\"",
    ];
    refuses(
        with(llama(), json!({"rope_scaling": kinds("default", "llama3")})),
        &expected,
    );

    let new = with(kinds("llama3", "llama3"), json!({"rope_theta": 5000.0}));
    let twice = json!({"rope_parameters": new, "rope_scaling": kinds("llama3", "llama3"), "rope_theta": 5000});
    assert_eq!(accepts(with(llama(), twice.clone())).ropes(), both.ropes());
    let expected = ["rope_theta = 5000", "rope_theta = 10000"];
    refuses(
        with(with(llama(), twice.clone()), json!({"rope_theta": 10000.0})),
        &expected,
    );
    let other = with(kinds("llama3", "llama3"), json!({"factor": 2}));
    let expected = ["rope_parameters.factor = 8", "rope_scaling.factor = 2"];
    refuses(
        with(with(llama(), twice), json!({"rope_scaling": other})),
        &expected,
    );
    accepts(with(
        llama(),
        json!({"dtype": "float32", "torch_dtype": "float32"}),
    ));
}

#[test]
fn scalings_that_are_not_built_are_named() {
    for kind in ["dynamic", "proportional"] {
        let scaling = json!({"rope_scaling": {"type": kind, "rope_type": kind, "factor": 2.0}});
        refuses(with(llama(), scaling), &[kind, "is not supported"]);
    }
    for kind in ["longrope", "su"] {
        let scaling = json!({"rope_scaling": {"type": kind, "short_factor": [1, 1, 1, 1], "long_factor": [1, 2]}});
        refuses(with(llama(), scaling), &["long_factor = 2 numbers"]);
    }
    let linear = json!({"rope_scaling": {"type": "linear"}});
    refuses(with(llama(), linear), &["factor = absent"]);
    let theta = json!({"rope_theta": 5000.0});
    let plain = accepts(with(llama(), theta.clone()));
    for scaling in [
        json!(null),
        json!({}),
        json!({"type": "default"}),
        json!({"rope_type": "linear", "factor": 1}),
        json!({"type": "default", "mrope_section": [16, 24, 24]}),
    ] {
        let config = accepts(with(
            with(llama(), theta.clone()),
            json!({"rope_scaling": scaling}),
        ));
        assert_eq!(config.ropes(), plain.ropes(),);
    }
    refuses(
        with(
            llama(),
            json!({"rope_scaling": {"type": "default", "new": 1}}),
        ),
        &["rope_scaling.new = 1"],
    );
    refuses(
        with(llama(), json!({"rope_scaling": "llama3"})),
        &["rope_scaling must be an object"],
    );
    refuses(
        with(llama(), json!({"partial_rotary_factor": 0.5})),
        &["partial_rotary_factor = 0.5"],
    );
}

/// As transformers 5.24 (`standardize_rope_params`).
#[test]
fn the_length_of_the_pretraining_is_the_models_where_a_scaling_does_not_say() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let config = accepts(with(llama(), json!({"rope_scaling": scaling})));
    assert_eq!(config.ropes()[0].scaling, llama3(64.0));
    let top = json!({"rope_scaling": scaling, "original_max_position_embeddings": 32});
    let config = accepts(with(llama(), top));
    assert_eq!(config.ropes()[0].scaling, llama3(32.0));
}

#[test]
fn null_is_absent_and_whole_floats_are_sizes() {
    let nulls = json!({
        "num_key_value_heads": null, "head_dim": null, "tie_word_embeddings": null, "attention_bias": null,
        "eos_token_id": null, "hidden_act": null, "quantization_config": null, "rope_parameters": null,
        "sliding_window": null, "layer_types": null,
    });
    let config = accepts(with(llama(), nulls));
    assert_eq!(config.ropes()[0].n_pairs, 4);
    let config = accepts(with(
        llama(),
        json!({"hidden_size": 64.0, "hidden_act": "swish"}),
    ));
    assert_eq!(config.hidden_size, 64);
}

#[test]
fn ends_of_a_text_have_every_form() {
    let ids = |value: Value| accepts(with(llama(), json!({"eos_token_id": value}))).eos_token_ids;
    assert_eq!(ids(json!(2)), [2]);
    assert_eq!(ids(json!([2, 3.0])), [2, 3]);
    assert!(ids(json!([])).is_empty());
    for wrong in [
        json!("</s>"),
        json!(-1),
        json!([2, "x"]),
        json!(1.5),
        json!({}),
    ] {
        refuses(
            with(llama(), json!({"eos_token_id": wrong})),
            &["eos_token_id must be"],
        );
    }
}

#[test]
fn numbers_that_nothing_can_be_computed_with_are_named() {
    for (name, values) in [
        ("hidden_size", json!([0, -1, 1e15, 1.5, "32", true, [32]])),
        ("vocab_size", json!([0, 1e12, 18446744073709551615u64])),
        ("intermediate_size", json!([0, 1e18])),
        ("num_hidden_layers", json!([0, 1e10])),
        ("num_attention_heads", json!([0, 3, 1e18])),
        ("num_key_value_heads", json!([0, 3, 8])),
        ("head_dim", json!([0, 7, 1e6])),
        ("max_position_embeddings", json!([0, 1e18])),
        ("rms_norm_eps", json!([0, -1e-6, 1e-320, 2, "1e-6"])),
        ("rope_theta", json!([0, -1, 1e39, "10000"])),
        ("initializer_range", json!([-1, 1e300])),
        ("tie_word_embeddings", json!([1, "true"])),
        ("layer_types", json!(["full_attention", [1]])),
    ] {
        for value in values.as_array().unwrap() {
            refuses(
                with(llama(), json!({name: value})),
                &["m/config.json", name],
            );
        }
    }
    refuses(
        with(
            llama(),
            json!({"hidden_size": 33, "num_attention_heads": 4}),
        ),
        &["num_attention_heads"],
    );
    let missing = with(llama(), json!({"rms_norm_eps": null}));
    refuses(missing, &["rms_norm_eps must be given"]);
    refuses(json!([1]), &["model_type"]);
}

#[test]
fn models_of_another_kind_are_recognised() {
    for (change, expected) in [
        (
            json!({"quantization": {"quant_method": "gptq", "bits": 4}}),
            "quantized model (gptq)",
        ),
        (
            json!({"quantization_config": {"quant_method": "awq"}}),
            "quantized model (awq)",
        ),
        (
            json!({"quantization_config": {"bits": 8}}),
            "quantized model (quantization_config",
        ),
        (
            json!({"compression_config": {"quant_method": "compressed-tensors"}}),
            "(compressed-tensors)",
        ),
        (
            json!({"model_type": "llava", "vision_config": {}}),
            "a model of images and text",
        ),
        (
            json!({"model_type": "gemma3", "text_config": {}}),
            "a model of several parts",
        ),
        (
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "LlamaForSequenceClassification",
        ),
    ] {
        refuses(with(llama(), change), &["m holds", expected]);
    }
    accepts(with(
        llama(),
        json!({"quantization_config": {}, "architectures": ["LlamaForCausalLM"]}),
    ));
}

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

fn of(model_type: &str, changes: Value) -> Value {
    with(with(llama(), json!({"model_type": model_type})), changes)
}

#[test]
fn a_bound_that_is_absent_is_the_familys_and_one_that_is_null_is_none() {
    let cap = |config| accepts(config).family.frame().logit_cap;
    let name = "final_logit_softcapping";
    assert_eq!(cap(of("gemma2", json!({}))), Some(30.0));
    assert_eq!(cap(of("gemma2", json!({name: 5}))), Some(5.0));
    assert_eq!(cap(of("gemma2", json!({name: null}))), None);
    assert_eq!(cap(of("gemma3_text", json!({}))), None);
    for wrong in [json!(0), json!(-1), json!("30")] {
        refuses(of("gemma2", json!({name: wrong})), &[name]);
    }
}

/// What transformers takes where a file does not say.
#[test]
fn heads_are_tied_as_the_family_has_them() {
    let tied = |config| accepts(config).family.frame().tied_head;
    for (model_type, by_default) in [
        ("gemma2", true),
        ("gemma3_text", true),
        ("smollm3", true),
        ("phi3", false),
        ("olmo3", false),
    ] {
        assert_eq!(tied(of(model_type, json!({}))), by_default, "{model_type}");
        let other = json!({"tie_word_embeddings": !by_default});
        assert_eq!(tied(of(model_type, other)), !by_default, "{model_type}");
    }
}

#[test]
fn fields_of_one_family_are_refused_by_others() {
    for (model_type, field, value) in [
        ("llama", "no_rope_layers", json!([1, 0])),
        ("qwen2", "attention_bias", json!(true)),
        ("granite", "query_pre_attn_scalar", json!(8)),
        ("gemma3_text", "use_bidirectional_attention", json!(true)),
        ("gemma2", "rope_local_base_freq", json!(1e4)),
        ("phi3", "attention_bias", json!(true)),
        ("glm4", "residual_multiplier", json!(0.5)),
    ] {
        refuses(
            of(model_type, json!({field: value})),
            &[field, "may change the result"],
        );
    }
    refuses(
        of("olmo2", json!({"partial_rotary_factor": 0.5})),
        &["partial_rotary_factor = 0.5", "rotate heads whole"],
    );
    refuses(
        of("phi3", json!({"partial_rotary_factor": 0})),
        &["nothing would be rotated"],
    );
    refuses(
        of("smollm3", json!({"no_rope_layers": [1]})),
        &["no_rope_layers must be a list of 2"],
    );
    refuses(
        of("gemma2", json!({"hidden_activation": "relu"})),
        &["hidden_activation = relu"],
    );
}

/// Of blocks that see every token, and of those with a window.
#[test]
fn families_with_two_rotary_embeddings_read_both_spellings() {
    let scaling = json!({"rope_type": "linear", "factor": 8.0});
    let old = json!({"rope_theta": 1e6, "rope_local_base_freq": 1e3, "rope_scaling": scaling});
    let new = json!({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e3},
    }});
    let old = accepts(of("gemma3_text", old)).ropes();
    assert_eq!(accepts(of("gemma3_text", new.clone())).ropes(), old);
    assert_eq!(old[0].scaling, Scaling::Linear { factor: 8.0 });
    assert_eq!(old[1].scaling, Scaling::None);
    assert_eq!((old[0].theta, old[1].theta), (1e6, 1e3));
    let default = accepts(of("gemma3_text", json!({}))).ropes();
    assert_eq!((default[0].theta, default[1].theta), (1e6, 1e4));
    let yarn = json!({"rope_theta": 2e5, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}});
    let ropes = accepts(of("olmo3", yarn)).ropes();
    assert!(matches!(ropes[0].scaling, Scaling::Yarn(_)));
    assert_eq!((ropes[1].theta, &ropes[1].scaling), (2e5, &Scaling::None));
    let mut wrong = new;
    wrong["rope_parameters"]["chunked_attention"] = json!({});
    refuses(
        of("gemma3_text", wrong),
        &["rope_parameters.chunked_attention"],
    );
}
