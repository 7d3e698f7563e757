//! Command lines of `mlx_lm.convert`, and the folders that they write.

use super::golden_json;
use crate::fixture::{Fixture, config, write_weights};
use crate::quantized::dense;
use candle_core::DType;
use serde_json::{Value, json};

const WEIGHTS: &str = "mlx_model/model.safetensors";

fn loss(fixture: &Fixture, model: &str) -> f64 {
    let words = format!("perplexity --model {model} --data data/valid.jsonl --json");
    fixture.ok_json(&words)["loss"].as_f64().unwrap()
}

/// Writes a folder anew.
fn convert(fixture: &Fixture, words: &str) {
    let _ = std::fs::remove_dir_all(fixture.path("mlx_model"));
    fixture.ok(&format!("convert {words}"));
}

fn settings(fixture: &Fixture) -> Value {
    fixture.json("mlx_model/config.json")["quantization"].clone()
}

/// Types of all floats of the folder.
fn dtypes(fixture: &Fixture) -> Vec<DType> {
    let tensors = fixture.tensors(WEIGHTS);
    let dtypes = tensors.values().map(candle_core::Tensor::dtype);
    let mut dtypes: Vec<_> = dtypes.filter(DType::is_float).collect();
    dtypes.dedup();
    dtypes
}

#[test]
fn every_mode_has_its_bits_and_groups() {
    let fixture = dense();
    let of_dense = loss(&fixture, "model");
    for (words, mode, bits, group) in [
        ("-q --q-group-size 32", "affine", 4, 32),
        ("--quantize --q-bits 8 --q-group-size 32", "affine", 8, 32),
        ("-q --q-mode mxfp4", "mxfp4", 4, 32),
        ("-q --q-mode mxfp8 --q-bits 8", "mxfp8", 8, 32),
        ("-q --q-mode nvfp4 --q-group-size 16", "nvfp4", 4, 16),
    ] {
        convert(&fixture, &format!("--hf-path model {words}"));
        let want = json!({"group_size": group, "bits": bits, "mode": mode});
        assert_eq!(settings(&fixture), want, "{words}");
        let off = loss(&fixture, "mlx_model") / of_dense - 1.0;
        assert!(off != 0.0 && off.abs() < 0.2, "{words}: {off}");
        assert!(bits == 4 || off.abs() < 1e-2, "{words}: {off}");
    }
    convert(&fixture, "--model model -q");
    let want = json!({"group_size": 64, "bits": 4, "mode": "affine"});
    assert_eq!(settings(&fixture), want);
}

/// A folder whose configuration says of every matrix what mlx-lm's says, and whose matrices have these bits: it is read again.
#[test]
fn a_recipe_has_the_bits_of_mlx_lm() {
    let fixture = Fixture::new();
    let mut of_model = config();
    for (field, value) in [("intermediate_size", 64), ("num_hidden_layers", 16)] {
        of_model[field] = value.into();
    }
    of_model["tie_word_embeddings"] = false.into();
    write_weights(&fixture.path("model"), &of_model, 5);
    let mut losses = vec![];
    for (recipe, expected) in golden_json("recipes.json").as_object().unwrap() {
        convert(
            &fixture,
            &format!("--hf-path model -q --q-group-size 32 --quant-predicate {recipe}"),
        );
        assert_eq!(settings(&fixture), *expected, "{recipe}");
        losses.push(loss(&fixture, "mlx_model"));
    }
    losses.dedup();
    assert_eq!(losses.len(), 4);
}

#[test]
fn matrices_are_kept_or_unpacked() {
    let fixture = dense();
    convert(&fixture, "--hf-path model");
    assert_eq!(dtypes(&fixture), [DType::F32]);
    assert_eq!(loss(&fixture, "mlx_model"), loss(&fixture, "model"));
    convert(&fixture, "--hf-path model -q --q-bits 8 --q-group-size 32");
    let packed = loss(&fixture, "mlx_model");
    fixture.ok("convert --hf-path mlx_model --mlx-path kept");
    fixture.ok("convert --hf-path mlx_model --mlx-path unpacked -d");
    let unpacked = &fixture.json("unpacked/config.json")["quantization"];
    assert!(unpacked.is_null(), "{unpacked}");
    let kept = &fixture.json("kept/config.json")["quantization"];
    assert_eq!(*kept, settings(&fixture));
    assert_eq!(loss(&fixture, "kept"), packed);
    let off = loss(&fixture, "unpacked") - packed;
    assert!(off.abs() < 1e-4, "{off}");
}

/// Norms and scales have the type as well.
#[test]
fn every_float_has_the_type_that_was_named() {
    let fixture = dense();
    for words in ["", "-q --q-group-size 32", "-d"] {
        convert(
            &fixture,
            &format!("--hf-path model --dtype bfloat16 {words}"),
        );
        assert_eq!(dtypes(&fixture), [DType::BF16], "{words}");
        let dtype = &fixture.json("mlx_model/config.json")["dtype"];
        assert_eq!(dtype, "bfloat16", "{words}");
    }
    fixture.edit("model/config.json", |config| {
        config["dtype"] = "float16".into()
    });
    convert(&fixture, "--hf-path model");
    assert_eq!(dtypes(&fixture), [DType::F16]);
}

#[test]
fn what_cannot_be_written_is_refused_with_what_can() {
    let fixture = Fixture::new();
    for (words, expected) in [
        (
            "-q --q-bits 7",
            "--q-bits: expected 2, 3, 4, 5, 6, 8, got 7",
        ),
        (
            "-q --q-group-size 48",
            "--q-group-size: expected 32, 64, 128, got 48",
        ),
        (
            "-q --q-mode mxfp4 --q-bits 8",
            "--q-bits: expected 4, got 8",
        ),
        (
            "-q --q-mode nvfp4 --q-group-size 32",
            "--q-group-size: expected 16, got 32",
        ),
        ("-q --q-mode gguf", "gguf"),
        ("-q --quant-predicate mixed_2_5", "mixed_3_6"),
        (
            "-q --q-mode mxfp4 --quant-predicate mixed_2_6",
            "--quant-predicate mixed_2_6: expected --q-mode affine, got mxfp4",
        ),
        (
            "-q --q-bits 4 --quant-predicate mixed_2_6",
            "cannot be used with",
        ),
        ("-q -d", "cannot be used with"),
        ("--type q8_0", "--save-path"),
        ("--save-path x --dtype float16", "cannot be used with"),
        (
            "--mlx-path model",
            "--mlx-path model exists and is not empty",
        ),
    ] {
        fixture.fails(&format!("convert --model model {words}"), 2, &[expected]);
    }
    assert!(!fixture.path("mlx_model").exists());
    for option in ["--q-bits 8", "--quant-predicate mixed_2_6"] {
        let ended = fixture.ok(&format!(
            "convert --model model {option} --mlx-path {}",
            &option[2..7]
        ));
        let told =
            option.split(' ').next().unwrap().to_owned() + " changes nothing without --quantize";
        assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    }
}
