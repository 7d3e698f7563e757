//! Fields: their forms, and those that nobody understands.

use super::*;

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
