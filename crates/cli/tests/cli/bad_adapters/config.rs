//! `adapter_config.json` of PEFT.

use super::{CONFIG, GENERATE, all_fail, trained};
use serde_json::json;

#[test]
fn unknown_adapter_field_is_refused() {
    let fixture = trained();
    fixture.edit("adapters/adapter_config.json", |config| {
        config["use_new_thing"] = json!({"a": 1})
    });
    all_fail(&fixture, &["use_new_thing"]);
}

/// Ranks are compared with the tensors before anything is allocated.
#[test]
fn hostile_numbers_in_the_configuration() {
    let cases = [
        ("r", json!(100_000_000), "rank must be from 1 to 65536"),
        (
            "r",
            json!(60_000),
            "rank 4, adapter_config.json gives 60000",
        ),
        ("r", json!(0), "rank must be"),
        ("r", json!(-1), "r: invalid value"),
        ("r", json!(8.5), "r: invalid type"),
        ("r", json!("8"), "r: invalid type"),
        ("r", json!(null), "r: invalid type"),
        (
            "rank_pattern",
            json!({"q_proj": 100_000_000}),
            "rank must be",
        ),
        (
            "rank_pattern",
            json!({"q_proj": "x"}),
            "rank_pattern: q_proj: invalid type",
        ),
        ("rank_pattern", json!([1]), "rank_pattern: invalid type"),
        (
            "rank_pattern",
            json!({"(": 1}),
            "rank_pattern: ( cannot be used as a regular expression",
        ),
        ("alpha_pattern", json!({"q_proj": 1e308}), "alpha must be"),
        ("lora_alpha", json!(1e308), "alpha must be"),
        ("lora_alpha", json!(1e-308), "alpha must be"),
        ("lora_alpha", json!("16"), "lora_alpha: invalid type"),
        ("lora_dropout", json!(1.0), "dropout must be in [0, 1)"),
        ("lora_dropout", json!(-1), "dropout must be in [0, 1)"),
        ("use_rslora", json!("yes"), "use_rslora: invalid type"),
        (
            "target_modules",
            json!(7),
            "target_modules: a text or a list of texts",
        ),
        (
            "target_modules",
            json!([7]),
            "target_modules: a text or a list of texts",
        ),
        (
            "target_modules",
            json!([]),
            "target_modules [] matches no layer",
        ),
        (
            "target_modules",
            json!(["nothing"]),
            "target_modules [\"nothing\"] matches no layer",
        ),
        (
            "target_modules",
            json!("(?<=q"),
            "target_modules: (?<=q cannot be used",
        ),
        (
            "target_modules",
            json!("(?!z)(\\w+.?\\w+.?)+x(?<!z)y"),
            "target_modules:",
        ),
        ("exclude_modules", json!(".*"), "matches no layer"),
        (
            "exclude_modules",
            json!("["),
            "exclude_modules: [ cannot be used",
        ),
        (
            "layers_to_transform",
            json!([-1]),
            "layers_to_transform: a whole number or a list",
        ),
        ("layers_to_transform", json!(9), "matches no layer"),
        (
            "base_model_name_or_path",
            json!({"a": 1}),
            "base_model_name_or_path: invalid type",
        ),
        ("modules_to_save", json!(7), "modules_to_save = 7"),
    ];
    let fixture = trained();
    let config = fixture.json(CONFIG);
    for (field, value, expected) in cases {
        fixture.edit(CONFIG, |config| config[field] = value.clone());
        fixture.fails(GENERATE, 2, &["adapters/adapter_", expected]);
        fixture.write(CONFIG, &config.to_string());
    }
    for text in ["[]", "{\"r\": NaN}", "{", "7"] {
        fixture.write(CONFIG, text);
        fixture.fails(GENERATE, 2, &[CONFIG, "one JSON object"]);
    }
}

/// Fields that change the mathematics are refused, each with its own help.
#[test]
fn refused_fields_have_their_own_advice() {
    let cases = [
        (
            "peft_type",
            json!("IA3"),
            "only adapters of LORA",
            "LoraConfig",
        ),
        (
            "peft_type",
            json!(null),
            "only adapters of LORA",
            "LoraConfig",
        ),
        ("task_type", json!("SEQ_CLS"), "trained head", "CAUSAL_LM"),
        ("bias", json!("all"), "trained biases", "bias='none'"),
        (
            "init_lora_weights",
            json!("corda"),
            "changes the base weight",
            "path_initial_model",
        ),
        (
            "init_lora_weights",
            json!("pissa_niter_4"),
            "began at random numbers",
            "path_initial_model",
        ),
        (
            "init_lora_weights",
            json!("loftq"),
            "changes the base weight",
            "LoftQ saved",
        ),
        (
            "modules_to_save",
            json!(["norm"]),
            "the output head are trained whole",
            "lm_head and embed_tokens alone",
        ),
        (
            "alora_invocation_tokens",
            json!([1, 2]),
            "activated LoRA",
            "vLLM",
        ),
        (
            "arrow_config",
            json!({"top_k": 2}),
            "routing",
            "one at a time",
        ),
        ("layer_replication", json!([[0, 1]]), "replicated", "merge"),
        (
            "megatron_config",
            json!({"x": 1}),
            "Megatron",
            "Hugging Face's layout",
        ),
        ("use_qalora", json!(true), "QALoRA", "without use_qalora"),
        (
            "kasa_config",
            json!({"beta": 1}),
            "KaSA",
            "merge_and_unload",
        ),
        (
            "use_bdlora",
            json!({"nblocks": 2}),
            "block-diagonal",
            "merge_and_unload",
        ),
        (
            "layers_pattern",
            json!("h"),
            "found as 'layers'",
            "by their names",
        ),
    ];
    let fixture = trained();
    let config = fixture.json(CONFIG);
    for (field, value, why, advice) in cases {
        fixture.edit(CONFIG, |config| config[field] = value.clone());
        fixture.fails(GENERATE, 2, &[&format!("{field} = "), why, advice]);
        fixture.write(CONFIG, &config.to_string());
    }
    let long: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    fixture.edit(CONFIG, |config| config["unknown"] = json!(long));
    let ended = fixture.fails(GENERATE, 2, &["unknown = "]);
    assert!(ended.stderr.len() < 5000);
}
