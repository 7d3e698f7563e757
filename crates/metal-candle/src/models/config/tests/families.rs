//! Settings that families read differently.

use super::*;

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
fn experts_that_cannot_be_chosen_are_refused() {
    let experts = json!({
        "num_experts": 4, "num_experts_per_tok": 4, "moe_intermediate_size": 8, "router_aux_loss_coef": 0.01
    });
    let moe = |changes| of("qwen3_moe", with(experts.clone(), changes));
    accepts(moe(json!({})));
    accepts(moe(
        json!({"num_local_experts": 4, "mlp_only_layers": [0], "output_router_logits": false}),
    ));
    for (changes, expected) in [
        (
            json!({"num_experts_per_tok": 5}),
            "at most the number of experts, 4",
        ),
        (json!({"num_experts_per_tok": 0}), "num_experts_per_tok"),
        (json!({"num_experts": null}), "num_experts"),
        (json!({"num_local_experts": 5}), "num_local_experts"),
        (json!({"decoder_sparse_step": 0}), "decoder_sparse_step"),
        (json!({"mlp_only_layers": [-1]}), "mlp_only_layers"),
        (
            json!({"output_router_logits": true}),
            "output_router_logits",
        ),
    ] {
        refuses(moe(changes), &[expected]);
    }
    refuses(of("mixtral", json!({"num_local_experts": 1})), &["got 2"]);
    let noise = json!({"num_local_experts": 4, "router_jitter_noise": 0.1});
    refuses(of("mixtral", noise), &["router_jitter_noise"]);
}

/// Names that OpenAI's own files have, and those that only this family has.
#[test]
fn settings_of_gpt_oss_must_agree() {
    let given = json!({
        "num_local_experts": 4, "experts_per_token": 4, "swiglu_limit": 7.0, "router_aux_loss_coef": 0.9,
        "initial_context_length": 4096, "output_router_logits": false, "hidden_act": "silu"
    });
    let oss = |changes| of("gpt_oss", with(given.clone(), changes));
    accepts(oss(json!({})));
    accepts(oss(json!({"experts_per_token": null, "num_experts": 4})));
    let plain = json!({"rope_type": "default"});
    accepts(oss(
        json!({"rope_parameters": plain, "initial_context_length": 7}),
    ));
    for (changes, expected) in [
        (json!({"experts_per_token": 2}), "experts_per_token = 2"),
        (
            json!({"num_experts_per_tok": 5}),
            "at most the number of experts, 4",
        ),
        (json!({"num_local_experts": null}), "num_experts"),
        (
            json!({"initial_context_length": 2048}),
            "original_max_position_embeddings, 4096",
        ),
        (json!({"swiglu_limit": 0}), "swiglu_limit"),
        (json!({"swiglu_alpha": "x"}), "swiglu_alpha"),
        (json!({"hidden_act": "gelu_pytorch_tanh"}), "hidden_act"),
        (
            json!({"output_router_logits": true}),
            "output_router_logits",
        ),
        (json!({"norm_topk_prob": true}), "norm_topk_prob"),
    ] {
        refuses(oss(changes), &[expected]);
    }
}

/// Values of `GptOssConfig` in transformers 5.23, where a file has none.
#[test]
fn gpt_oss_without_settings_of_its_rotary_embedding_has_yarn() {
    let experts = json!({"num_local_experts": 4});
    let rope = |changes| accepts(of("gpt_oss", with(experts.clone(), changes))).ropes();
    let yarn = rope(json!({
        "rope_theta": null,
        "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
            "truncate": false, "original_max_position_embeddings": 4096
        }
    }));
    assert_eq!(rope(json!({"rope_theta": null})), yarn);
    assert_eq!(
        rope(json!({"rope_theta": 150000, "rope_scaling": null})),
        yarn
    );
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

/// Rotary embeddings of blocks that see every token, and of those with a window.
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
