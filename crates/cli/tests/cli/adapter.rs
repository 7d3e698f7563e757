//! `adapter show` and `adapter convert`.

use crate::fixture::Fixture;
use candle_core::{DType, Device, Tensor};
use serde_json::json;

const PEFT: &str = "adapter_model.safetensors";

fn answer(fixture: &Fixture, adapter: &str) -> serde_json::Value {
    fixture.ok_json(&format!(
        "generate --model model --adapter-path {adapter} -p x -m 8 --json"
    ))["token_ids"]
        .clone()
}

/// Values of a file by name, to the bit.
fn bits(fixture: &Fixture, name: &str) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let tensors = fixture.tensors(name).into_iter();
    let mut all: Vec<_> = tensors
        .map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = values.into_iter().map(f32::to_bits).collect();
            (name, tensor.dims().to_vec(), values)
        })
        .collect();
    all.sort();
    all
}

fn scales(fixture: &Fixture, adapter: &str) -> Vec<(String, f64)> {
    let shown = fixture.ok_json(&format!("adapter show {adapter} --json"));
    let layers = shown["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| {
            (
                layer["path"].as_str().unwrap().into(),
                layer["scale"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_round_trip_through_mlx_is_equal_to_the_bit() {
    for words in [
        "--rank 3 --alpha 5",
        "--rank 4 --alpha 7 --rslora",
        "--fine-tune-type dora --num-layers 1 --targets q_proj,down_proj",
        "--rank 4 --num-layers 1 --targets v_proj",
    ] {
        for model in ["", " --model model"] {
            let fixture = Fixture::new();
            fixture.train(words);
            fixture.ok(&format!("adapter convert adapters mlx --to mlx{model}"));
            fixture.ok(&format!("adapter convert mlx back --to peft{model}"));
            assert_eq!(
                bits(&fixture, &format!("adapters/{PEFT}")),
                bits(&fixture, &format!("back/{PEFT}")),
                "{words}"
            );
            for other in ["mlx", "back"] {
                assert_eq!(
                    scales(&fixture, "adapters"),
                    scales(&fixture, other),
                    "{words}"
                );
                assert_eq!(
                    answer(&fixture, "adapters"),
                    answer(&fixture, other),
                    "{words}"
                );
            }
            let config = fixture.json("mlx/adapter_config.json");
            assert_eq!(config["num_layers"] == -1, model.is_empty(), "{config}");
        }
    }
}

#[test]
fn scales_by_layer_go_into_b_where_nothing_is_rounded() {
    let fixture = Fixture::new();
    fixture.train("--iters 1 --rank 4");
    fixture.edit("adapters/adapter_config.json", |config| {
        config["alpha_pattern"] = json!({"q_proj": 4});
    });
    fixture.ok("adapter convert adapters mlx --to mlx");
    assert_eq!(answer(&fixture, "adapters"), answer(&fixture, "mlx"));
    let b = |name: &str, key: &str| fixture.tensors(name)[key].to_vec2::<f32>().unwrap();
    let before = b(
        &format!("adapters/{PEFT}"),
        "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight",
    );
    let after = b(
        "mlx/adapters.safetensors",
        "model.layers.1.self_attn.q_proj.lora_b",
    );
    assert!(before[3][2] != 0.0);
    assert_eq!(after[2][3], before[3][2] / 4.0);

    fixture.edit("adapters/adapter_config.json", |config| {
        config["alpha_pattern"] = json!({"q_proj": 5});
    });
    let expected = [
        "mlx-lm cannot express",
        "layers.0.self_attn.q_proj: scale 1.25 beside 4",
    ];
    fixture.fails("adapter convert adapters other --to mlx", 2, &expected);
    fixture.assert_nothing_half_written("other");
}

#[test]
fn ranks_by_layer_are_filled_up_if_told() {
    let fixture = Fixture::new();
    fixture.train("--iters 1 --rank 4 --targets q_proj,v_proj");
    fixture.edit("adapters/adapter_config.json", |config| {
        config["rank_pattern"] = json!({"q_proj": 2});
        config["alpha_pattern"] = json!({"q_proj": 8});
    });
    fixture.edit_tensors(&format!("adapters/{PEFT}"), |tensors| {
        for (name, tensor) in tensors
            .iter_mut()
            .filter(|(name, _)| name.contains("q_proj"))
        {
            let dim = usize::from(name.contains("lora_B"));
            *tensor = tensor.narrow(dim, 0, 2).unwrap().contiguous().unwrap();
        }
    });
    let convert = "adapter convert adapters mlx --to mlx";
    fixture.fails(convert, 2, &["ranks that differ: [2, 4]", "--pad-ranks"]);
    fixture.ok(&format!("{convert} --pad-ranks"));
    assert_eq!(answer(&fixture, "adapters"), answer(&fixture, "mlx"));
}

#[test]
fn what_the_other_tool_cannot_say_is_refused_by_name() {
    let fixture = Fixture::new();
    for (words, expected) in [
        ("--modules-to-save lm_head", "lm_head: a whole weight"),
        (
            "--targets embed_tokens",
            "model.embed_tokens: the token embedding is the output head",
        ),
        (
            "--targets lm_head",
            "lm_head: the token embedding is the output head",
        ),
        (
            "--targets embed_tokens --fine-tune-type dora",
            "model.embed_tokens: DoRA of an embedding",
        ),
    ] {
        fixture.train(&format!("--iters 1 --adapter-path a {words}"));
        fixture.fails(
            "adapter convert a mlx --to mlx --model model",
            2,
            &["mlx-lm cannot express", expected],
        );
        std::fs::remove_dir_all(fixture.path("a")).unwrap();
    }
    fixture.train("--iters 1 --targets embed_tokens");
    fixture.fails(
        "adapter convert adapters mlx --to mlx",
        2,
        &["model.embed_tokens: whether", "--model"],
    );
    fixture.assert_nothing_half_written("mlx");
}

#[test]
fn ends_that_are_one_matrix_go_to_mlx_and_back() {
    let fixture = Fixture::new();
    fixture.train("--targets embed_tokens,q_proj");
    fixture.edit("adapters/adapter_config.json", |config| {
        config["ensure_weight_tying"] = json!(true)
    });
    fixture.ok("adapter convert adapters mlx --to mlx --model model");
    fixture.ok("adapter convert mlx back --to peft --model model");
    assert_eq!(answer(&fixture, "adapters"), answer(&fixture, "mlx"));
    assert_eq!(answer(&fixture, "adapters"), answer(&fixture, "back"));
    assert_eq!(
        fixture.json("back/adapter_config.json")["ensure_weight_tying"],
        true
    );
    let back = fixture.tensors(&format!("back/{PEFT}"));
    for (name, tensor) in fixture.tensors(&format!("adapters/{PEFT}")) {
        let difference = (&back[&name] - tensor)
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert_eq!(difference.to_scalar::<f32>().unwrap(), 0.0, "{name}");
    }
    fixture.ok("fuse --model model --adapter-path mlx --save-path fused");
    assert_eq!(
        fixture.json("fused/config.json")["tie_word_embeddings"],
        true
    );
    let fused = fixture.ok_json("generate --model fused -p x -m 8 --json")["token_ids"].clone();
    assert_eq!(fused, answer(&fixture, "adapters"));
}

#[test]
fn a_training_goes_on_from_an_adapter_of_mlx() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    fixture.ok("adapter convert adapters mlx --to mlx");
    for from in ["adapters/checkpoint-1", "mlx"] {
        // Without the optimizer's state both begin anew.
        let _ = std::fs::remove_file(fixture.path(from).join("optimizer.safetensors"));
    }
    fixture.train("--iters 2 --resume-adapter-file mlx --adapter-path more");
    let tensors = fixture.tensors(&format!("more/{PEFT}"));
    assert!(
        tensors
            .keys()
            .all(|name| name.starts_with("base_model.model."))
    );
}

#[test]
fn other_places_and_unknown_formats() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    fixture.fails(
        "adapter convert nothing mlx --to mlx",
        2,
        &["no adapter at nothing"],
    );
    fixture.fails(
        "adapter convert adapters model --to mlx",
        2,
        &["TO model exists and is not empty"],
    );
    fixture.fails("adapter convert adapters mlx --to onnx", 2, &["peft, mlx"]);
    fixture.edit_tensors(&format!("adapters/{PEFT}"), |tensors| {
        let tensor = Tensor::zeros((4, 32), DType::F32, &Device::Cpu).unwrap();
        tensors.insert("base_model.model.model.wte.lora_A.weight".into(), tensor);
    });
    let convert = "adapter convert adapters mlx --to mlx";
    fixture.fails(convert, 2, &["model.wte.lora_A.weight", "no such layer"]);
}

#[test]
fn an_adapter_goes_to_llama_cpp_or_is_refused() {
    let fixture = Fixture::new();
    fixture.train("--iters 1 --alpha 5");
    let convert = "adapter convert adapters adapter.gguf --to gguf";
    fixture.fails(convert, 2, &["--to gguf", "name the model with --model"]);
    fixture.ok(&format!("{convert} --model model"));
    let file = std::fs::read(fixture.path("adapter.gguf")).unwrap();
    assert_eq!(&file[..4], b"GGUF");
    fixture.fails(
        &format!("{convert} --model model"),
        2,
        &["adapter.gguf exists"],
    );
    for (words, expected) in [
        ("--fine-tune-type dora", "q_proj: the method dora"),
        ("--modules-to-save lm_head", "lm_head: a whole weight"),
        (
            "--targets embed_tokens",
            "model.embed_tokens: the token embedding is the output head",
        ),
    ] {
        fixture.train(&format!("--iters 1 --adapter-path a {words}"));
        let convert = "adapter convert a other.gguf --to gguf --model model";
        fixture.fails(convert, 2, &["llama.cpp cannot express", expected]);
        assert!(!fixture.path("other.gguf").exists());
        std::fs::remove_dir_all(fixture.path("a")).unwrap();
    }
}
