//! `config.json` of a model: sizes that the files do not have, numbers that no model has, mathematics that is not built.

use crate::input::{FUSE, GENERATE, INSPECT, Input, PERPLEXITY, TRAIN};
use crate::{mutate, odd_file};

const FILE: &str = "model/config.json";
const ALL: &[&str] = &[GENERATE, PERPLEXITY, INSPECT, TRAIN, FUSE];

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, GENERATE);
    inputs.extend(texts());
    inputs.extend(sizes());
    inputs.extend(refused());
    inputs.extend(accepted());
    inputs.extend(uncertain());
    inputs.extend(mutate::json_of(FILE, ALL, 60));
    inputs.extend(mutate::bytes_of(FILE, ALL, 20));
    inputs
}

fn field(name: &str, raw: &str) -> Input {
    let shown = raw.chars().take(40).collect::<String>();
    Input::new(format!("{name} = {shown}"), GENERATE).set(
        FILE,
        &format!("/{name}"),
        mutate::extreme(raw),
    )
}

/// Files that are no object of JSON, or barely.
fn texts() -> Vec<Input> {
    let file = |name: &str, text: String| Input::new(name, GENERATE).file(FILE, text).refused(&[]);
    let whole =
        |name: &str, change: fn(Vec<u8>) -> Vec<u8>| Input::new(name, GENERATE).bytes(FILE, change);
    vec![
        file("a list", "[]".into()),
        file("null", "null".into()),
        file("no fields", "{}".into()).refused(&["model_type"]),
        file(
            "100,000 lists deep",
            mutate::nested("{\"a\":[", "", "]}", 100_000),
        )
        .refused(&["config.json"]),
        file(
            "a field 100,000 lists deep",
            format!(
                "{{\"model_type\":\"qwen3\",\"a\":{}}}",
                mutate::extreme("DEEP")
            ),
        ),
        whole("something after the end", |old| {
            [old, b"}".to_vec()].concat()
        })
        .refused(&["config.json"]),
        whole("half of it", |old| old[..old.len() / 2].to_vec()).refused(&["config.json"]),
        whole("a zero byte after the end", |old| [old, vec![0]].concat()).refused(&[]),
        whole("CR LF", |old| {
            String::from_utf8(old).unwrap().replace('\n', "\r\n").into()
        })
        .accepted(),
        whole("a byte order mark", |old| {
            ["\u{feff}".as_bytes(), &old].concat()
        }),
        whole("64 MB of blanks", |old| {
            [old, vec![b' '; 64 << 20]].concat()
        }),
    ]
}

/// Every size that shapes a tensor: any value but the true one contradicts the weights.
fn sizes() -> Vec<Input> {
    const SIZES: [&str; 7] = [
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "vocab_size",
    ];
    const WRONG: [&str; 14] = [
        "0",
        "-1",
        "1.5",
        "1e308",
        "NaN",
        "2147483648",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1000000000000000000",
        "\"8\"",
        "[8]",
        "true",
    ];
    let of_size = |size: &'static str| WRONG.map(|raw| field(size, raw).refused(&[]));
    let mut inputs: Vec<Input> = SIZES.into_iter().flat_map(of_size).collect();
    // Products of sizes that pass by themselves.
    let both = field("hidden_size", "4294967296").set(FILE, "/vocab_size", "4294967296");
    inputs.push(both.refused(&[]));
    let heads = field("num_attention_heads", "4611686018427387904").set(FILE, "/head_dim", "4");
    inputs.push(heads.refused(&[]));
    inputs.extend(
        ["0", "-1", "1.5", "\"96\"", "true", "[]"]
            .map(|raw| field("max_position_embeddings", raw).refused(&[])),
    );
    inputs
}

/// What is not built, or no number that a model can have.
fn refused() -> Vec<Input> {
    let mut inputs = vec![];
    let mut refuse = |name: &str, raws: &[&str], mentions: &'static [&'static str]| {
        inputs.extend(raws.iter().map(|raw| field(name, raw).refused(mentions)));
    };
    refuse(
        "model_type",
        &[
            "1",
            "[]",
            "null",
            "\"gpt2\"",
            "\"\"",
            "HUGE",
            "\"\\u001b[31m\"",
            "\"\\u202e\"",
        ],
        &["model_type"],
    );
    refuse("rope_theta", &["0", "-1", "-10000.0"], &["rope_theta"]);
    refuse(
        "rope_theta",
        &["1e400", "NaN", "\"1e4\"", "[]"],
        &["config.json"],
    );
    refuse(
        "rms_norm_eps",
        &["-1", "NaN", "1e400", "\"1e-6\"", "[]"],
        &[],
    );
    refuse(
        "hidden_act",
        &["\"gelu\"", "\"\\u001b]0;x\\u0007\""],
        &["hidden_act"],
    );
    refuse("hidden_act", &["5", "[]"], &["config.json"]);
    refuse("layer_types", &["5"], &["config.json"]);
    refuse("tie_word_embeddings", &["false", "\"true\"", "2"], &[]);
    refuse("attention_bias", &["true", "\"no\""], &[]);
    refuse(
        "layer_types",
        &["[\"sliding_attention\", \"full_attention\"]", "[\"x\"]"],
        &["layer_types"],
    );
    refuse(
        "partial_rotary_factor",
        &["0.5", "0", "-1", "2"],
        &["partial_rotary_factor"],
    );
    refuse(
        "quantization_config",
        &["{\"quant_method\": \"hqq\", \"bits\": 4}", "{\"bits\": 4}"],
        &["quantized"],
    );
    refuse(
        "quantization_config",
        &["{\"quant_method\": \"gptq\", \"bits\": 4}"],
        &["quantization_config.group_size"],
    );
    refuse(
        "quantization",
        &[
            "{\"group_size\": 64, \"bits\": 4}",
            "{\"group_size\": 64, \"bits\": 4, \"mode\": \"mxfp4\"}",
            "{\"group_size\": 0, \"bits\": 4}",
            "{\"group_size\": 1e300, \"bits\": 4}",
            "{\"group_size\": 64, \"bits\": -4}",
            "{\"group_size\": 64}",
            "{\"group_size\": 64, \"bits\": 4, \"mode\": 5}",
            "{\"lm_head\": true, \"group_size\": 64, \"bits\": 4}",
            "{\"lm_head\": {}, \"group_size\": 64, \"bits\": 4}",
            "{\"group_size\": 64, \"bits\": 4, \"\\u001b]0;x\\u0007\": 1}",
            "5",
            "[]",
            "\"4\"",
        ],
        &["quanti"],
    );
    refuse(
        "eos_token_id",
        &["-1", "4294967296", "\"x\"", "{}", "[[1]]", "1.5", "[-1]"],
        &[],
    );
    refuse("rope_scaling", &["5", "\"llama3\"", "true"], &[]);
    let scalings = [
        "{\"rope_type\": \"yarn\", \"factor\": 0}",
        "{\"type\": \"linear\"}",
        "{\"type\": \"dynamic\", \"factor\": 2.0}",
        "{\"rope_type\": \"longrope\", \"short_factor\": [], \"long_factor\": []}",
        "{\"rope_type\": \"\\u001b[2J\"}",
        "{\"rope_type\": \"default\", \"type\": \"yarn\"}",
    ];
    refuse("rope_scaling", &scalings, &["rope"]);
    // Fields that change the mathematics of other families, and one that nobody has thought of yet.
    for name in [
        "residual_multiplier",
        "embedding_multiplier",
        "logits_scaling",
        "attention_multiplier",
        "final_logit_softcapping",
        "attn_logit_softcapping",
        "num_experts",
        "query_pre_attn_scalar",
        "kv_lora_rank",
        "a_new_kind_of_attention",
    ] {
        let mention: &'static [&'static str] = Box::leak(Box::new([name]));
        refuse(name, &["12"], mention);
    }
    inputs.extend(llama3("factor", &["0", "-8", "NaN", "\"8\"", "null", "[]"]));
    inputs.extend(llama3(
        "original_max_position_embeddings",
        &["0", "-1", "\"x\""],
    ));
    inputs.extend(llama3("low_freq_factor", &["0", "-1", "null"]));
    inputs.extend(llama3("high_freq_factor", &["0", "-1", "null"]));
    inputs
}

const LLAMA3: &str = "{\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \
                      \"original_max_position_embeddings\": 32}";

fn llama3<'a>(name: &'a str, raws: &'a [&'a str]) -> impl Iterator<Item = Input> + 'a {
    raws.iter().map(move |raw| {
        let input = Input::new(format!("llama3 {name} = {raw}"), GENERATE).set(
            FILE,
            "/rope_scaling",
            LLAMA3,
        );
        input
            .set(FILE, &format!("/rope_scaling/{name}"), *raw)
            .refused(&[])
    })
}

/// What published checkpoints have.
fn accepted() -> Vec<Input> {
    let mut inputs = vec![
        field("head_dim", "null"),
        field("rope_theta", "null"),
        field("rope_theta", "1000000"),
        field("eos_token_id", "null"),
        field("eos_token_id", "[1, 2]"),
        field("torch_dtype", "\"bfloat16\""),
        field("architectures", "[\"Qwen3ForCausalLM\"]"),
        field("rope_scaling", "null"),
        field(
            "rope_scaling",
            "{\"rope_type\": \"default\", \"type\": \"default\"}",
        ),
        field("rope_scaling", LLAMA3),
        field("an_unknown_field", "null"),
        field("quantization_config", "null"),
        field("layer_types", "[\"full_attention\", \"full_attention\"]"),
        field("use_sliding_window", "false")
            .set(FILE, "/sliding_window", "32768")
            .set(FILE, "/max_window_layers", "28"),
    ];
    inputs.push(
        Input::new("nothing is wrong", GENERATE)
            .and(PERPLEXITY)
            .and(INSPECT)
            .and(TRAIN)
            .and(FUSE),
    );
    inputs.into_iter().map(Input::accepted).collect()
}

/// What may be refused or not.
fn uncertain() -> Vec<Input> {
    let mut inputs = vec![
        field("rope_theta", "1e308"),
        field("rope_theta", "1e-320"),
        field("rms_norm_eps", "0"),
        field("rms_norm_eps", "1e308"),
        field("sliding_window", "4096"),
        field("mlp_bias", "true"),
        field("eos_token_id", "4294967295"),
        field("eos_token_id", "LONG"),
        field("transformers_version", "HUGE"),
        field("\\u001b[31mfield", "null"),
    ];
    let huge = [
        "2147483648",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551615",
        "1",
    ];
    for command in [GENERATE, TRAIN, PERPLEXITY] {
        inputs.extend(huge.map(|raw| {
            let name = format!("max_position_embeddings = {raw}, {}", &command[..5]);
            Input::new(name, command).set(FILE, "/max_position_embeddings", raw)
        }));
    }
    inputs
}
