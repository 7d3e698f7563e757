use crate::fixture::Fixture;
use candle_core::DType;

/// A float16 model, and an adapter whose products are far over 65,504 in one layer.
fn overflowing() -> Fixture {
    let fixture = Fixture::new();
    fixture.edit_tensors("model/model.safetensors", |tensors| {
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_dtype(DType::F16).unwrap();
        }
    });
    fixture.train("--iters 1");
    fixture.edit_tensors("adapters/adapter_model.safetensors", |tensors| {
        let up = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight";
        let huge = (&tensors[up] * 1e9).unwrap();
        tensors.insert(up.into(), huge);
    });
    fixture
}

#[test]
fn weights_that_are_not_finite_are_never_written() {
    let fixture = overflowing();
    let adapter = "--model model --adapter-path adapters";
    fixture.ok(&format!("generate {adapter} -p x -m 2"));
    let expected = [
        "not finite",
        "model.layers.1.mlp.up_proj.weight",
        "leave the adapter beside",
    ];
    let stderr = fixture
        .fails(&format!("fuse {adapter}"), 1, &expected)
        .stderr;
    assert!(!stderr.contains("layers.0"), "{stderr}");
    assert!(!fixture.path("fused_model").exists());
    fixture.fails(
        &format!("generate {adapter} --merge -p x -m 2"),
        1,
        &expected,
    );
}

#[test]
fn a_gguf_file_is_written_beside_the_checkpoint() {
    let fixture = Fixture::new();
    fixture.train("--iters 8");
    fixture.ok("fuse --model model --export-gguf");
    let loss = |model: &str| {
        let words = format!("perplexity --model {model} --data data/valid.jsonl --json");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    // Half of the bits of its matrices are gone.
    let difference = loss("fused_model") - loss("fused_model/ggml-model-f16.gguf");
    assert!(difference.abs() < 0.02, "{difference}");
    for wrong in ["../x.gguf", "a/b.gguf", ".."] {
        let words = format!("fuse --model model --save-path other --gguf-path {wrong}");
        fixture.fails(&words, 2, &["--gguf-path", "without a folder"]);
    }
}

#[test]
fn an_adapters_own_tokenizer_goes_along() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    fixture.write("model/LICENSE", "free");
    fixture.write("model/chat_template.jinja", "the base's");
    fixture.write("adapters/chat_template.jinja", "the adapter's");
    fixture.ok("fuse --model model --adapter-path adapters/adapter_model.safetensors");
    assert_eq!(fixture.read("fused_model/LICENSE"), "free");
    assert_eq!(
        fixture.read("fused_model/chat_template.jinja"),
        "the adapter's"
    );
    assert!(!fixture.path("fused_model/adapter_config.json").exists());
}
