//! Settings of rotary embeddings.

use super::*;

/// The scaling of these tests.
fn llama3(original: f64) -> Scaling {
    Scaling::Llama3(Llama3 {
        factor: 8.0,
        low: 1.0,
        high: 4.0,
        original,
    })
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

/// Lengths as in transformers 5.24 (`standardize_rope_params`).
#[test]
fn the_length_of_the_pretraining_is_the_models_where_a_scaling_does_not_say() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0});
    let config = accepts(with(llama(), json!({"rope_scaling": scaling})));
    assert_eq!(config.ropes()[0].scaling, llama3(64.0));
    let top = json!({"rope_scaling": scaling, "original_max_position_embeddings": 32});
    let config = accepts(with(llama(), top));
    assert_eq!(config.ropes()[0].scaling, llama3(32.0));
}
