//! gpt-oss, whose experts lie together in files, each tool's in an order of its own.

use crate::fixture::{Fixture, LIMIT, VOCAB_SIZE};
use candle_core::{DType, Device, Tensor};
use metal_candle::models::{FolderType, Model, save_checkpoint};
use metal_candle_kernels::weight::microscaling::Kind;
use serde_json::{Value, json};
use std::collections::HashMap;

const WITH: &str = "--model model --adapter-path adapters";
const EXPERTS: &str = "model.layers.1.mlp.experts";
const PROMPT: &str = "--max-tokens 12 --json -p say";

fn config() -> Value {
    json!({
        "model_type": "gpt_oss",
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_local_experts": 3,
        "num_experts_per_tok": 2,
        "sliding_window": 16,
        "rms_norm_eps": 1e-5,
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": LIMIT,
        "rope_theta": 150_000.0,
        "rope_scaling": {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24, "beta_fast": 32.0,
            "beta_slow": 1.0, "truncate": false
        },
        "initializer_range": 0.1,
        "dtype": "float32",
    })
}

fn model() -> Model {
    Model::random(config(), 9, &Device::Cpu).unwrap()
}

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let tensors = model().tensors_of_folder().unwrap();
    save_checkpoint(&fixture.path("model"), &config(), tensors).unwrap();
    fixture
}

/// The model with experts in blocks of mxfp4, as OpenAI publishes it.
fn packed() -> Fixture {
    let fixture = fixture();
    let mut packed = model();
    packed.store_as(FolderType::Floats(Kind::Mxfp4)).unwrap();
    let packed: HashMap<String, Tensor> = packed.decoder.tensors().into_iter().collect();
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        for block in 0..2 {
            let mixture = format!("model.layers.{block}.mlp.experts");
            for (name, layers) in [
                ("gate_up_proj", &["gate_proj", "up_proj"][..]),
                ("down_proj", &["down_proj"]),
            ] {
                let of = |end: &str| {
                    let all = (0..3).map(|e| {
                        let parts = layers.iter();
                        let parts =
                            parts.map(|layer| &packed[&format!("{mixture}.{e}.{layer}.{end}")]);
                        let parts: Vec<_> = parts.collect();
                        Tensor::stack(&parts, 1).unwrap().flatten(0, 1).unwrap()
                    });
                    Tensor::stack(&all.collect::<Vec<_>>(), 0).unwrap()
                };
                tensors.remove(&format!("{mixture}.{name}")).unwrap();
                tensors.insert(format!("{mixture}.{name}_blocks"), bytes(&of("weight")));
                tensors.insert(format!("{mixture}.{name}_scales"), of("scales"));
            }
        }
    });
    fixture.edit("model/config.json", |config| {
        config["quantization_config"] = json!({
            "quant_method": "mxfp4",
            "modules_to_not_convert": [
                "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"
            ],
        });
    });
    fixture
}

/// Words `(E, N, K / 8)` as blocks `(E, N, K / 32, 16)`.
fn bytes(words: &Tensor) -> Tensor {
    let (n_experts, rows, width) = words.dims3().unwrap();
    let words = words.flatten_all().unwrap().to_vec1::<u32>().unwrap();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    Tensor::from_vec(bytes, (n_experts, rows, width / 4, 16), &Device::Cpu).unwrap()
}

fn loss(fixture: &Fixture, words: &str) -> f64 {
    let words = format!("perplexity --data data/valid.jsonl --mask-prompt --json {words}");
    fixture.ok_json(&words)["loss"].as_f64().unwrap()
}

fn names(fixture: &Fixture, folder: &str) -> Vec<String> {
    let tensors = fixture.tensors(&format!("{folder}/model.safetensors"));
    let mut names: Vec<String> = tensors.into_keys().collect();
    names.sort();
    names
}

#[test]
fn it_is_trained_verified_and_fused() {
    let fixture = fixture();
    let base = loss(&fixture, "--model model");
    fixture.train("--iters 20 --mask-prompt --learning-rate 2e-2");
    let trained = loss(&fixture, WITH);
    assert!(trained < base - 0.3, "{trained} {base}");
    fixture.ok(&format!(
        "verify {WITH} --data data/valid.jsonl --mask-prompt"
    ));
    fixture.ok(&format!("fuse {WITH} --save-path fused"));
    assert!((loss(&fixture, "--model fused") - trained).abs() < 1e-4);
    assert_eq!(names(&fixture, "fused"), names(&fixture, "model"));
    let tokens =
        |words: &str| fixture.ok_json(&format!("generate {words} {PROMPT}"))["token_ids"].clone();
    assert_eq!(tokens(WITH), tokens("--model fused"));
    assert_ne!(tokens(WITH), tokens("--model model"));
    let layers = fixture.ok_json("inspect --model fused --json");
    let layers = layers["layers"].as_array().unwrap().iter();
    let paths: Vec<&str> = layers
        .map(|layer| layer["path"].as_str().unwrap())
        .collect();
    let router = format!("{}.router", EXPERTS.strip_suffix(".experts").unwrap());
    for path in [&format!("{EXPERTS}.2.up_proj"), &router] {
        assert!(paths.contains(&path.as_str()), "{paths:?}");
    }
    fixture.ok("adapter convert adapters of-mlx --to mlx --model model");
    let of_mlx = fixture.tensors("of-mlx/adapters.safetensors");
    assert_eq!(
        of_mlx[&format!("{EXPERTS}.up_proj.lora_a")].dims(),
        [3, 4, 64]
    );
    assert_eq!(tokens("--model model --adapter-path of-mlx"), tokens(WITH));
}

/// Sinks would be left as they are.
#[test]
fn training_of_all_weights_is_refused() {
    let fixture = fixture();
    let expected =
        "model_type = gpt_oss is not supported: sinks of attention have no gradient here";
    fixture.train_fails("--fine-tune-type full --num-layers -1", 2, &[expected]);
}

#[test]
fn experts_of_mxfp4_are_trained_beside_and_written_dense_or_as_mlx_lm_has_them() {
    let fixture = packed();
    let base = loss(&fixture, "--model model");
    fixture.train("--iters 20 --mask-prompt --learning-rate 2e-2");
    let trained = loss(&fixture, WITH);
    assert!(trained < base - 0.3, "{trained} {base}");
    let expected = [
        "quantized as mxfp4, a format that is not written",
        "--dequantize",
    ];
    fixture.fails(&format!("fuse {WITH} --save-path fused"), 2, &expected);
    fixture.assert_nothing_half_written("fused");
    fixture.ok(&format!("fuse {WITH} --save-path fused --dequantize"));
    assert!((loss(&fixture, "--model fused") - trained).abs() < 1e-4);
    let fused = fixture.tensors("fused/model.safetensors");
    let experts = &fused[&format!("{EXPERTS}.gate_up_proj")];
    assert_eq!(
        (experts.dims(), experts.dtype()),
        (&[3, 64, 128][..], DType::F32)
    );

    fixture.ok("convert --hf-path model --mlx-path of-mlx -q --q-mode mxfp4");
    let of_mlx = fixture.tensors("of-mlx/model.safetensors");
    let blocks =
        &fixture.tensors("model/model.safetensors")[&format!("{EXPERTS}.down_proj_blocks")];
    let words = &of_mlx[&format!("{EXPERTS}.down_proj.weight")];
    assert_eq!(
        bytes(words).flatten_all().unwrap().to_vec1::<u8>().unwrap(),
        blocks.flatten_all().unwrap().to_vec1::<u8>().unwrap()
    );
    let settings = fixture.json("of-mlx/config.json");
    let router = &settings["quantization"]["model.layers.0.mlp.router"];
    assert_eq!(router["bits"], 8, "{settings}");
    assert!((loss(&fixture, "--model of-mlx") / base - 1.0).abs() < 0.3);
}

#[test]
fn what_no_tool_reads_is_refused_by_name() {
    let fixture = fixture();
    fixture.train("--iters 1");
    for (words, to, expected) in [
        (
            "convert --model model --save-path out.gguf --type f16",
            "out.gguf",
            "model_type = gpt_oss is not supported: there is no way to write it as GGUF",
        ),
        (
            "convert --model model --save-path out --type nf4",
            "out",
            "model_type = gpt_oss is not supported: to bitsandbytes experts of this type are no layers",
        ),
        (
            "adapter convert adapters out.gguf --to gguf --model model",
            "out.gguf",
            "llama.cpp cannot express: models of type gpt_oss: there is no way",
        ),
        (
            "adapter convert adapters out --to peft --model model",
            "out",
            "mlp.router: no layer there, and as a part of all experts (target_parameters) it is not written",
        ),
        (
            "adapter convert adapters out --to mlx",
            "out",
            "name the model with --model",
        ),
    ] {
        let ended = fixture.fails(words, 2, &[expected]);
        assert!(!fixture.path(to).exists(), "{words}");
        assert!(!ended.stderr.contains("layers.1."), "{}", ended.stderr);
    }
    fixture.train("--iters 1 --targets q_proj,o_proj --adapter-path attention");
    fixture.ok("adapter convert attention out --to peft --model model");
}
