use crate::fixture::Fixture;
use crate::quantized::{dense, quantize};
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

/// Makes the update of an adapter as many times larger.
fn scale(fixture: &Fixture, factor: f64) {
    fixture.edit_tensors("adapters/adapter_model.safetensors", |tensors| {
        let ups = tensors
            .iter_mut()
            .filter(|(name, _)| name.contains("lora_B"));
        ups.for_each(|(_, tensor)| *tensor = (&*tensor * factor).unwrap());
    });
}

fn quantized() -> Fixture {
    let fixture = dense();
    quantize(&fixture);
    fixture.train("--iters 8");
    fixture
}

#[test]
fn an_update_that_rounding_swallows_is_refused() {
    let fixture = quantized();
    scale(&fixture, 1e-4);
    let expected = [
        "of the adapter's update is left in the median of",
        "nothing was written",
        "model.layers.0.self_attn.q_proj  affine, 4 bits in groups of 32",
        "--dequantize",
        "leave the adapter beside the model",
        "--min-survival 0",
    ];
    fixture.fails("fuse --model model", 2, &expected);
    assert!(!fixture.path("fused_model").exists());
    let report = fixture.ok_json("fuse --model model --min-survival 0 --json");
    let kept = report["packed"]["median"]["kept"].as_f64().unwrap();
    assert!(kept.abs() < 0.5, "{report}");
    let config = fixture.json("fused_model/config.json");
    assert_eq!(config["quantization"]["bits"], 4);
}

#[test]
fn a_large_update_is_quantized_again_and_its_losses_are_told() {
    let fixture = quantized();
    scale(&fixture, 4.0);
    let report = fixture.ok_json("fuse --model model --data data/valid.jsonl --json");
    let (packed, loss) = (&report["packed"], &report["loss"]);
    let (median, worst) = (
        packed["median"]["kept"].as_f64().unwrap(),
        packed["worst"].as_f64().unwrap(),
    );
    assert!(median > 0.9 && worst > 0.5, "{report}");
    let perplexity = |words: &str| {
        let words = format!("perplexity {words} --data data/valid.jsonl --json");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    for (words, name) in [
        ("--model model", "base"),
        ("--model model --adapter-path adapters", "adapter"),
        ("--model fused_model", "fused"),
    ] {
        assert_eq!(perplexity(words), loss[name].as_f64().unwrap(), "{name}");
    }
    let stored =
        |model: &str| fixture.ok_json(&format!("inspect --model {model} --json"))["layers"].clone();
    let (before, after) = (stored("model"), stored("fused_model"));
    for (before, after) in before
        .as_array()
        .unwrap()
        .iter()
        .zip(after.as_array().unwrap())
    {
        assert_eq!(before["stored"], after["stored"]);
    }
    let told = fixture.ok("fuse --model model --save-path again");
    for text in [
        "affine, 4 bits in groups of 32",
        "% left",
        "quantized layers: median",
    ] {
        assert!(told.stdout.contains(text), "{}", told.stdout);
    }
}

#[test]
fn a_fused_gguf_file_keeps_its_types() {
    let fixture = dense();
    fixture.ok("convert --model model --save-path base.gguf --type q4_0");
    fixture.train("--model base.gguf --iters 8");
    scale(&fixture, 4.0);
    let report = fixture
        .ok_json("fuse --model base.gguf --save-path fused.gguf --data data/valid.jsonl --json");
    let layers = |model: &str| {
        let report = fixture.ok_json(&format!("inspect --model {model} --json"));
        let layers = report["layers"].as_array().unwrap().iter();
        layers
            .map(|layer| layer["stored"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(layers("base.gguf"), layers("fused.gguf"));
    assert!(layers("fused.gguf").contains(&"Q4_0".into()));
    let loss = |name: &str| report["loss"][name].as_f64().unwrap();
    assert!(loss("fused") < loss("base"), "{report}");
    let refused = |words: &str, expected: &[&str]| {
        fixture.fails(&format!("fuse --save-path other.gguf {words}"), 2, expected);
        assert!(!fixture.path("other.gguf").exists());
    };
    refused(
        "--model model",
        &["the types of a GGUF file", "metal-candle convert"],
    );
    refused(
        "--model base.gguf --dequantize",
        &["--dequantize writes a folder"],
    );
    refused(
        "--model base.gguf --export-gguf",
        &["--export-gguf writes a folder"],
    );
}

#[test]
fn what_a_dense_model_keeps_is_one_line() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    let told = fixture.ok("fuse --model model");
    let lines: Vec<_> = told.stdout.lines().collect();
    assert!(
        lines[0].contains("other layers: median 100.00 %"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("Saved the fused model"), "{lines:?}");
    assert_eq!(lines.len(), 2);
}
