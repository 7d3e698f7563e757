//! Quantized checkpoints compute, and train, what their owners' programs do: those of mlx-lm
//! (`scripts/golden/make_mlx.py`), and those of bitsandbytes and transformers
//! (`scripts/golden/packed_models.py`), and those of GPTQ, AWQ and compressed-tensors
//! (`scripts/golden/make_zero_points.py`).
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{DType, Device, Tensor};
use metal_candle::lora::{AdapterSet, Error};
use metal_candle::models::{FolderType, Model, OnLoad, save_checkpoint};
use metal_candle::train::Parameters;
use metal_candle_kernels::weight::affine::BITS;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use support::quantized::{self, adapted};
use support::{activations, golden, max_difference, model, tensors, training};

const MLX: [&str; 2] = ["mlx-4bit", "mlx-mxfp4"];

/// Mixtures of experts, of which layers are one tensor.
const MLX_EXPERTS: [&str; 2] = ["mlx-experts", "mlx-gpt-oss"];

/// gpt-oss as OpenAI published it, and as mlx-lm has it before it is quantized.
const GPT_OSS: [&str; 2] = ["gpt-oss-mxfp4", "mlx-gpt-oss-float"];

const OTHERS: [&str; 4] = ["bnb-nf4", "bnb-fp4", "bnb-int8", "fp8"];

const ZERO_POINTS: [&str; 3] = [
    "zero-point/gptq",
    "zero-point/awq",
    "zero-point/compressed-tensors",
];

#[test]
fn activations_of_sixteen_bits_are_multiplied_with_packed_weights() {
    for name in MLX.into_iter().chain(OTHERS).chain(ZERO_POINTS) {
        activations::are_cached(name, &Device::Cpu);
    }
}

#[test]
fn experts_are_written_as_mlx_lm_has_them() {
    for name in MLX_EXPERTS {
        is_written_as_it_was_read(name);
    }
}

/// transformers has two tensors of all experts, whose columns alternate.
#[test]
fn experts_of_gpt_oss_are_written_as_transformers_has_them() {
    is_written_as_it_was_read("gpt_oss");
}

/// Every tensor under its name, number by number.
fn is_written_as_it_was_read(name: &str) {
    let folder = golden(name).join("model");
    let mut written = model(name).tensors_of_folder().unwrap();
    let theirs =
        candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    written.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&String> = written.iter().map(|(name, _)| name).collect();
    let mut their_names: Vec<&String> = theirs.keys().collect();
    their_names.sort();
    assert_eq!(names, their_names);
    for (name, tensor) in &written {
        let right = &theirs[name];
        assert_eq!(
            (tensor.dtype(), tensor.dims()),
            (right.dtype(), right.dims()),
            "{name}"
        );
        assert!(numbers(tensor) == numbers(right), "{name}");
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let numbers = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    numbers.to_vec1().unwrap()
}

#[test]
fn experts_of_mxfp4_are_those_of_transformers_to_the_bit() {
    let name = GPT_OSS[0];
    let want = tensors(&golden(name).join("golden.safetensors"));
    let mut dense = model(name);
    dense.unpack(DType::F32).unwrap();
    let written = dense.tensors_of_folder().unwrap();
    let written: HashMap<String, Tensor> = written.into_iter().collect();
    let mut n_compared = 0;
    for (key, right) in &want {
        if let Some(name) = key.strip_prefix("dense.") {
            assert_eq!(written[name].dims(), right.dims(), "{name}");
            assert!(numbers(&written[name]) == numbers(right), "{name}");
            n_compared += 1;
        }
    }
    assert_eq!(n_compared, 2);
}

#[test]
fn logits_of_a_bounded_cache_equal_mlx() {
    for name in MLX {
        quantized::logits_of_a_bounded_cache_equal_mlx(name, &Device::Cpu);
    }
}

#[test]
fn logits_behind_a_file_of_keys_equal_mlx() {
    quantized::logits_behind_a_file_of_keys_equal_mlx(&Device::Cpu);
}

#[test]
fn logits_and_greedy_tokens_equal_the_owners() {
    let all = MLX.into_iter().chain(OTHERS).chain(ZERO_POINTS);
    for name in all.chain(MLX_EXPERTS).chain(GPT_OSS) {
        quantized::logits_and_greedy_tokens_equal_the_owners(name, &Device::Cpu);
    }
}

#[test]
fn loss_and_gradients_of_an_adapter_equal_mlx() {
    for name in MLX {
        quantized::loss_and_gradients_of_an_adapter_equal_mlx(name, &Device::Cpu);
    }
}

#[test]
fn ten_losses_equal_mlx() {
    for name in MLX {
        quantized::ten_losses_equal_mlx(name, &Device::Cpu);
    }
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    let runs = [
        "bnb-nf4/train",
        "fp8/train",
        "zero-point/gptq/train",
        "gpt-oss-mxfp4/train",
    ];
    for run in runs {
        training::ten_losses_and_the_final_adapter_equal_peft(run, "full", &Device::Cpu);
    }
}

#[test]
fn kinds_tell_how_matrices_are_stored() {
    let kinds = |name: &str| -> BTreeSet<String> {
        let layers = model(name).decoder.adaptable().into_iter();
        layers.map(|layer| layer.weight().kind()).collect()
    };
    let expected: [(&str, &[&str]); 9] = [
        (
            "mlx-4bit",
            &[
                "affine, 4 bits in groups of 32",
                "affine, 8 bits in groups of 64",
                "f32",
            ],
        ),
        ("mlx-mxfp4", &["f32", "mxfp4", "mxfp8", "nvfp4"]),
        (
            "bnb-nf4",
            &["f32", "nf4, blocks of 64, double quantization"],
        ),
        ("bnb-fp4", &["f32", "fp4, blocks of 64"]),
        ("bnb-int8", &["f32", "int8 by rows"]),
        ("fp8", &["f32", "fp8 (e4m3), blocks of 24 x 20"]),
        (
            "zero-point/gptq",
            &["f32", "gptq, 4 bits in groups of 32, columns by activation"],
        ),
        ("zero-point/awq", &["awq, 4 bits in groups of 32", "f32"]),
        (
            "zero-point/compressed-tensors",
            &["compressed-tensors, 4 bits in groups of 32", "f32"],
        ),
    ];
    for (name, expected) in expected {
        let expected: BTreeSet<String> = expected.iter().map(|kind| kind.to_string()).collect();
        assert_eq!(kinds(name), expected);
    }
}

/// Kinds of the layers of a dense checkpoint that is packed while it is read.
#[test]
fn dense_checkpoints_are_packed_while_they_are_read() {
    let folder = golden("qwen3").join("model");
    let load = |to| Model::load_packing(&folder, Some(to), &Device::Cpu).unwrap();
    let kinds = |model: &Model| -> Vec<String> {
        let layers = model.decoder.adaptable().into_iter();
        layers.map(|layer| layer.weight().kind()).collect()
    };
    let nf4 = kinds(&load(OnLoad::Nf4));
    let is_nf4 = |kind: &String| kind == "nf4, blocks of 64";
    assert_eq!(
        nf4.iter().filter(|kind| is_nf4(kind)).count(),
        nf4.len() - 2
    );
    // Rows of 32 do not divide into groups of 64, those of o_proj and down_proj do.
    let affine = kinds(&load(OnLoad::Affine));
    let is_affine = |kind: &&String| **kind == "affine, 4 bits in groups of 64";
    assert_eq!(affine.iter().filter(is_affine).count(), 2 * 3, "{affine:?}");
    let error = Model::load_packing(
        &golden("bnb-nf4").join("model"),
        Some(OnLoad::Nf4),
        &Device::Cpu,
    );
    let message = error.err().unwrap().to_string();
    assert!(message.contains("is quantized already"), "{message}");
}

#[test]
fn only_some_matrices_are_packed_and_none_is_merged() {
    let (mut model, set, _) = adapted("mlx-4bit", &Device::Cpu);
    let packed: Vec<String> = model
        .decoder
        .packed()
        .map(|(path, _)| path.into())
        .collect();
    assert_eq!(packed.len(), 15, "{packed:?}");
    assert!(packed.contains(&"lm_head".into()) && packed.contains(&"model.embed_tokens".into()));
    let plain = "model.layers.1.mlp.up_proj";
    assert!(!packed.contains(&plain.into()));
    let error = model.fuse(&set).unwrap_err();
    let Error::Packed { tensors } = &error else {
        panic!("{error}");
    };
    assert_eq!(tensors.len(), set.parameters().len() / 2 - 1);
    assert!(!tensors.contains(&format!("{plain}.weight")));
    assert!(Parameters::all_weights(&mut model).is_err());
}

/// Numbers of the matrices that an adapter changes, in float64.
fn dense(model: &Model) -> HashMap<String, Tensor> {
    let layers = model.decoder.adaptable().into_iter();
    let dense = layers.map(|layer| {
        let dense = layer.weight().dense().unwrap();
        (
            layer.path().to_string(),
            dense.to_dtype(DType::F64).unwrap(),
        )
    });
    dense.collect()
}

/// Update `alpha / r * B A` of a layer, in float64.
fn update(set: &AdapterSet, path: &str) -> Tensor {
    let parameters: HashMap<_, _> = set.parameters().into_iter().collect();
    let factor = |name: &str| {
        let name = format!("{path}.{name}.weight");
        parameters[&name].to_dtype(DType::F64).unwrap()
    };
    (factor("lora_B").matmul(&factor("lora_A")).unwrap() * 2.0).unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

#[test]
fn fused_weights_are_packed_again_and_what_is_left_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, set, _) = adapted("mlx-4bit", &Device::Cpu);
    let before = dense(&model);
    let kinds = |model: &Model| -> Vec<String> {
        let layers = model.decoder.adaptable().into_iter();
        layers.map(|layer| layer.weight().kind()).collect()
    };
    let of_base = kinds(&model);
    let fusion = model.fuse_as_stored(&set).unwrap();
    save_checkpoint(folder.path(), &model.raw_config, model.decoder.tensors()).unwrap();
    let read = Model::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!(kinds(&read), of_base);
    let after = dense(&read);
    assert_eq!(fusion.layers.len(), set.parameters().len() / 2);
    assert_eq!(
        fusion.layers.iter().filter(|layer| !layer.packed).count(),
        1
    );
    for layer in &fusion.layers {
        let (before, after) = (&before[&layer.path], &after[&layer.path]);
        let update = update(&set, &layer.path);
        let change = (after - before).unwrap();
        let rounding = (&change - &update).unwrap();
        let square = dot(&update, &update);
        let want = [
            dot(&change, &update) / square,
            (dot(&rounding, &rounding) / square).sqrt(),
        ];
        let got = layer.survival.unwrap();
        for (got, want) in [got.kept, got.error].into_iter().zip(want) {
            assert!((got - want).abs() < 1e-5, "{}: {got} {want}", layer.path);
        }
    }
}

/// Scales, biases and numbers of a matrix that was packed before are those that it had.
#[test]
fn a_packed_matrix_that_nothing_changes_is_packed_as_it_was() {
    let (model, ..) = adapted("mlx-4bit", &Device::Cpu);
    for (path, weight) in model.decoder.packed() {
        let dense = weight.dense().unwrap();
        let again = weight.stored_alike(&dense).unwrap().unwrap();
        let difference = max_difference(&dense, &again.dense().unwrap());
        assert!(difference < 1e-6, "{path}: {difference}");
    }
}

/// An adapter of PEFT's, and its model.
fn trained(name: &str) -> (Model, Arc<AdapterSet>) {
    let mut model = model(name);
    let set = support::adapter(&mut model, &golden(name).join("train/final_adapter_full"));
    (model, set)
}

#[test]
fn formats_without_a_quantizer_are_refused_by_name() {
    for (name, kind) in [
        ("fp8", "(fp8 (e4m3), "),
        ("zero-point/gptq", "(gptq, 4 bits "),
    ] {
        let (mut model, set) = trained(name);
        let error = model.fuse_as_stored(&set).unwrap_err().to_string();
        assert!(error.contains("without a quantizer"), "{error}");
        assert!(error.contains(kind), "{error}");
    }
}

/// Logits of some tokens.
fn logits(model: &Model) -> Tensor {
    support::models::forward(model, &[1, 5, 2, 7, 9, 30, 11, 3], 1)
}

#[test]
fn small_floats_and_nf4_are_fused_into_themselves() {
    let small = || {
        let (model, set, _) = adapted("mlx-mxfp4", &Device::Cpu);
        (model, set)
    };
    for (mut model, set) in [small(), trained("bnb-nf4")] {
        let before = logits(&model);
        let kinds = |model: &Model| -> Vec<String> {
            let packed = model.decoder.packed();
            packed.map(|(_, weight)| weight.kind()).collect()
        };
        let of_base = kinds(&model);
        let fusion = model.fuse_as_stored(&set).unwrap();
        let packed = fusion.summary(true).unwrap();
        assert!(packed.median.kept > 0.5, "{}", packed.median.kept);
        let folder = tempfile::tempdir().unwrap();
        let tensors = model.tensors_of_folder().unwrap();
        save_checkpoint(folder.path(), &model.raw_config, tensors).unwrap();
        let read = Model::load(folder.path(), &Device::Cpu).unwrap();
        assert_eq!(max_difference(&logits(&model), &logits(&read)), 0.0);
        assert!(max_difference(&logits(&read), &before) > 1e-2);
        // Double quantization is not done again.
        let same = |(new, old): (&String, &String)| old.starts_with(new.as_str());
        assert!(kinds(&read).iter().zip(&of_base).all(same));
    }
}

/// Matrices of every form, written, are read as they were.
#[test]
fn models_are_written_in_every_form_of_a_folder() {
    let named = FolderType::names().map(|name| name.parse().unwrap());
    let other = BITS.map(|bits| FolderType::Affine { bits, group: 32 });
    for form in named.chain(other) {
        let name = match form {
            FolderType::Affine { bits, group } => {
                format!("affine, {bits} bits in groups of {group}")
            }
            _ => form.name().to_string(),
        };
        let mut model = model("zero-point/awq");
        model.store_as(form).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tensors = model.tensors_of_folder().unwrap();
        save_checkpoint(folder.path(), &model.raw_config, tensors).unwrap();
        let read = Model::load(folder.path(), &Device::Cpu).unwrap();
        assert_eq!(
            max_difference(&logits(&model), &logits(&read)),
            0.0,
            "{name}"
        );
        let packed: Vec<String> = read
            .decoder
            .packed()
            .map(|(path, weight)| format!("{path} {}", weight.kind()))
            .collect();
        let n_packed = match form {
            FolderType::Dense(_) => 0,
            FolderType::Nf4 => 14,
            _ => 16,
        };
        assert_eq!(packed.len(), n_packed, "{name}: {packed:?}");
        assert!(packed.iter().all(|kind| kind.contains(&name)), "{packed:?}");
    }
}

#[test]
fn what_packs_no_matrix_is_refused() {
    let form = FolderType::Affine { bits: 4, group: 32 };
    // Of 36 numbers a row.
    let error = model("gemma2").store_as(form).unwrap_err().to_string();
    assert!(error.contains("nothing would be packed"), "{error}");
}
