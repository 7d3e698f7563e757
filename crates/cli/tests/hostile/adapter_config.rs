//! `adapter_config.json`.

use crate::input::{FUSE, INSPECT, Input, RESUME, WITH_ADAPTER};
use crate::{mutate, odd_file};

const FILE: &str = "adapters/adapter_config.json";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, WITH_ADAPTER);
    inputs.extend(numbers());
    inputs.extend(patterns());
    inputs.extend(not_built());
    inputs.extend(other());
    inputs.extend(mutate::json_of(
        FILE,
        &[WITH_ADAPTER, FUSE, INSPECT, RESUME],
        50,
    ));
    inputs.extend(mutate::bytes_of(FILE, &[WITH_ADAPTER, INSPECT], 10));
    inputs
}

fn field(name: &str, raw: &str) -> Input {
    let shown: String = raw.chars().take(40).collect();
    Input::new(format!("{name} = {shown}"), WITH_ADAPTER).set(
        FILE,
        &format!("/{name}"),
        mutate::extreme(raw),
    )
}

fn numbers() -> Vec<Input> {
    let refuse = |name: &'static str, raws: &[&str]| -> Vec<Input> {
        raws.iter()
            .map(|raw| field(name, raw).refused(&[]))
            .collect()
    };
    let ranks = [
        "0",
        "-1",
        "1",
        "4",
        "1.5",
        "\"2\"",
        "[]",
        "true",
        "100000000",
        "1000000000000000000",
        "9223372036854775808",
        "18446744073709551615",
        "NaN",
    ];
    let mut inputs = refuse("r", &ranks);
    inputs.extend(refuse(
        "lora_alpha",
        &["NaN", "1e400", "\"16\"", "[]", "{}"],
    ));
    inputs.extend(refuse(
        "layers_to_transform",
        &[
            "[1000000000000000000]",
            "[-1]",
            "\"x\"",
            "[0]",
            "1.5",
            "[18446744073709551616]",
        ],
    ));
    inputs.extend(refuse(
        "rank_pattern",
        &[
            "{\"q_proj\": 0}",
            "{\"q_proj\": 1000000000000}",
            "{\"q_proj\": -1}",
            "{\"q_proj\": \"2\"}",
            "5",
        ],
    ));
    inputs.extend(refuse(
        "alpha_pattern",
        &[
            "{\"q_proj\": NaN}",
            "{\"q_proj\": \"x\"}",
            "{\"q_proj\": null}",
        ],
    ));
    inputs
}

fn patterns() -> Vec<Input> {
    // Matches every layer, and takes exponential time in an engine that tries every way.
    let slow = "\"(.*)*(.*)*(.*)*(.*)*(.*)*x\"";
    let nested = format!("\"{}\"", mutate::nested("(", "a", ")", 50_000));
    let wide = "\"((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}\"";
    let mut inputs: Vec<Input> = [
        "[]",
        "\"(\"",
        "\"\"",
        "5",
        "[5]",
        "\"nothing\"",
        "[\"nothing\"]",
        "[\"\"]",
        "HUGE",
    ]
    .map(|raw| field("target_modules", raw).refused(&[]))
    .into();
    inputs.push(field("target_modules", slow).refused(&[]));
    inputs.push(field("target_modules", "\"(?=(a+)+$)b\"").refused(&[]));
    inputs.push(field("target_modules", &nested).refused(&[]));
    inputs.push(field("target_modules", wide).refused(&[]));
    inputs.push(field("target_modules", "[\"\\u001b[31mred\"]").refused(&[]));
    inputs.push(field("exclude_modules", slow));
    inputs.push(field("exclude_modules", "\".*\"").refused(&[]));
    inputs.push(field("rank_pattern", &format!("{{{slow}: 4}}")));
    inputs.push(field("rank_pattern", "{\"(\": 4}"));
    inputs
}

/// What changes the mathematics and is not built is refused by name.
fn not_built() -> Vec<Input> {
    let mut inputs = vec![];
    let mut refuse = |name: &'static str, raws: &[&str]| {
        let mention: &'static [&'static str] = Box::leak(Box::new([name]));
        inputs.extend(raws.iter().map(|raw| field(name, raw).refused(mention)));
    };
    refuse("peft_type", &["\"IA3\"", "5", "\"\\u001b[31m\""]);
    refuse("use_dora", &["1", "\"yes\""]);
    refuse("bias", &["\"all\"", "\"lora_only\"", "5"]);
    refuse("modules_to_save", &["[\"norm\"]", "\"norm\"", "5"]);
    refuse(
        "init_lora_weights",
        &["\"pissa_niter_0\"", "\"loftq\"", "\"corda\"", "5"],
    );
    refuse("lora_bias", &["true"]);
    refuse("layer_replication", &["[[0, 4]]"]);
    refuse(
        "trainable_token_indices",
        &[
            "[-1]",
            "\"a\"",
            "[4294967295]",
            "{\"embed_tokens\": [5, 5]}",
        ],
    );
    refuse("a_new_method", &["true", "{\"a\": 1}"]);
    refuse("task_type", &["\"SEQ_CLS\""]);
    inputs.push(field("use_dora", "true").refused(&["lora_magnitude_vector"]));
    inputs.push(field("modules_to_save", "[\"lm_head\"]").refused(&["lm_head.weight"]));
    inputs.push(field("trainable_token_indices", "[1]").refused(&["trainable_tokens_delta"]));
    inputs
}

fn other() -> Vec<Input> {
    let mlx = "{\"fine_tune_type\": \"lora\", \"num_layers\": 16, \"lora_parameters\": {\"rank\": 8, \"scale\": 20.0}}";
    let file =
        |name: &str, text: &str| Input::new(name, WITH_ADAPTER).file(FILE, text).refused(&[]);
    vec![
        Input::new("nothing is wrong", WITH_ADAPTER)
            .and(INSPECT)
            .arg("--adapter-path")
            .arg("adapters")
            .and(FUSE)
            .and(RESUME)
            .accepted(),
        file("one of mlx-lm", mlx).refused(&["adapters.safetensors is missing"]),
        file("a list", "[]"),
        file("no fields", "{}"),
        file("null", "null"),
        field("a_field", "DEEP").refused(&[]),
        Input::new("gone", WITH_ADAPTER)
            .change(|folder| std::fs::remove_file(folder.join(FILE)).unwrap())
            .refused(&["adapter_config.json"]),
        field("lora_dropout", "0.5").accepted(),
        field("init_lora_weights", "\"gaussian\"").accepted(),
        field("peft_version", "\"0.18.0\"").accepted(),
        field("revision", "\"main\"").accepted(),
        field("fan_in_fan_out", "true"),
        field("lora_dropout", "2"),
        field("lora_dropout", "NaN"),
        field("lora_alpha", "0"),
        field("lora_alpha", "-16"),
        field("lora_alpha", "1e308"),
        field(
            "base_model_name_or_path",
            "\"\\u001b[31mred\\u0007\\u202e\"",
        ),
        field("base_model_name_or_path", "HUGE"),
        field("base_model_name_or_path", "5"),
        field("target_modules", "LONG"),
    ]
}
