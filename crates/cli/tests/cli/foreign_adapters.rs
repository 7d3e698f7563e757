//! What lies where an adapter was looked for, and is none: said in one sentence.

use crate::fixture::Fixture;

const GENERATE: &str = "generate --model model -p x --adapter-path";
const PEFT: &str = r#"{"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]}"#;
const MLX: &str = r#"{"fine_tune_type": "lora", "num_layers": 3}"#;

/// Fails once, and says neither of the words of other errors.
fn says(fixture: &Fixture, path: &str, expected: &[&str]) {
    let ended = fixture.fails(&format!("{GENERATE} {path}"), 2, expected);
    for other in ["mathematics", "No such file"] {
        assert!(!ended.stderr.contains(other), "{}", ended.stderr);
    }
}

#[test]
fn a_pickle_is_named_with_the_way_to_convert_it() {
    let fixture = Fixture::new();
    fixture.write("a/adapter_config.json", PEFT);
    fixture.write("a/adapter_model.bin", "PK\u{3}\u{4}");
    let expected = [
        "a/adapter_model.bin is in PyTorch's pickle format",
        "weights_only=True",
        "'a/adapter_model.safetensors'",
    ];
    says(&fixture, "a", &expected);
    says(&fixture, "a/adapter_model.bin", &expected);
    fixture.write("a/adapter_model.safetensors", "PK\u{3}\u{4} a zip archive");
    says(
        &fixture,
        "a",
        &["a/adapter_model.safetensors is in PyTorch's pickle format"],
    );
}

#[test]
fn gguf_a_model_and_folders_of_adapters_are_named() {
    let fixture = Fixture::new();
    fixture.write("a/lora.gguf", "GGUFxxxx");
    says(&fixture, "a", &["a/lora.gguf is a GGUF file"]);
    says(&fixture, "a/lora.gguf", &["a/lora.gguf is a GGUF file"]);
    says(
        &fixture,
        "model",
        &["model is a model, not an adapter", "--model"],
    );
    for name in ["default", "checkpoint-10"] {
        fixture.write(&format!("many/{name}/adapter_config.json"), PEFT);
    }
    let expected = [
        "many holds adapters in folders: checkpoint-10, default",
        "many/checkpoint-10",
    ];
    says(&fixture, "many", &expected);
}

#[test]
fn the_file_that_is_missing_is_named() {
    let fixture = Fixture::new();
    fixture.write("a/adapter_config.json", PEFT);
    says(&fixture, "a", &["a/adapter_model.safetensors is missing"]);
    says(
        &fixture,
        "a/adapter_config.json",
        &["a/adapter_model.safetensors is missing"],
    );
    fixture.write("b/other.safetensors", "x");
    says(
        &fixture,
        "b/other.safetensors",
        &["b/adapter_config.json is missing"],
    );
    fixture.write("c/adapter_config.json", MLX);
    fixture.write("c/0000100_adapters.safetensors", "x");
    says(&fixture, "c", &["c/adapters.safetensors is missing"]);
}
