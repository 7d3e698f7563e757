//! Adapters whose factors begin as parts of the weights are those of PEFT, in memory and in files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::{Device, Tensor};
use metal_candle::language_model::Adapted;
use metal_candle::lora::format::{self, mlx};
use metal_candle::lora::{AdapterSet, Init, Linear, LoraConfig, Targets};
use metal_candle::models::Model;
use metal_candle::train::Parameters;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use support::models::forward_with;
use support::training::{batch, run_step};
use support::{adapted, golden, ids, max_difference, model, tensors};

/// See `CONVERTED` in `scripts/golden/training.py`.
const RUNS: [(&str, Init); 2] = [
    ("qwen3/train-pissa", Init::Pissa),
    ("qwen3/train-olora", Init::Olora),
];

fn config(init: Init) -> LoraConfig {
    let targets = ["q_proj", "v_proj", "down_proj"].map(String::from);
    LoraConfig {
        init,
        r: 3,
        alpha: 5.0,
        use_rslora: init == Init::Olora,
        targets: Targets::Names(targets.to_vec()),
        ..LoraConfig::default()
    }
}

fn product(values: &HashMap<String, Tensor>, path: &str) -> Tensor {
    let value = |name: &str| &values[&format!("{path}.{name}.weight")];
    value("lora_B").matmul(value("lora_A")).unwrap()
}

fn paths(values: &HashMap<String, Tensor>) -> Vec<&str> {
    let ends = values
        .keys()
        .filter_map(|key| key.strip_suffix(".lora_A.weight"));
    ends.collect()
}

fn in_peft_names(set: &AdapterSet) -> HashMap<String, Tensor> {
    let all = set.parameters().into_iter();
    all.map(|(name, var)| (format!("base_model.model.{name}"), var.as_detached_tensor()))
        .collect()
}

/// Signs of singular vectors, and of the columns of `Q`, are free: products are compared.
#[test]
fn fresh_factors_are_those_of_peft() {
    for (run, init) in RUNS {
        let model = model("qwen3");
        let ours = in_peft_names(&Adapted::fresh(&model, config(init), 0).unwrap().set);
        let folder = golden(run).join("initial_adapter");
        let theirs = tensors(&folder.join("adapter_model.safetensors"));
        assert_eq!(ours.len(), theirs.len());
        for path in paths(&theirs) {
            let (ours, theirs) = (product(&ours, path), product(&theirs, path));
            let difference = max_difference(&ours, &theirs);
            assert!(difference < 1e-4, "{run} {path}: {difference}");
        }
    }
}

#[test]
fn a_fresh_adapter_has_the_loss_of_its_model() {
    let batches = tensors(&golden("qwen3/train-pissa/batches.safetensors"));
    let first = |key: &str| batches[key].get(0).unwrap();
    let batch = batch(&first("input_ids"), &first("labels_full"));
    for init in [Init::Pissa, Init::PissaNiter(2), Init::Olora] {
        let loss = |init: Init| {
            let model = model("qwen3");
            let set = Adapted::fresh(&model, config(init), 0).unwrap().set;
            let parameters = Parameters::of_adapters(set, &model.decoder);
            run_step(&model, &parameters, &batch, false).loss_sum
        };
        let (plain, ours) = (loss(Init::Lora), loss(init));
        assert!(
            (plain - ours).abs() < 1e-5 * plain,
            "{init:?}: {ours}, {plain}"
        );
    }
}

fn logits(model: &Model, adapter: &Adapted, input_ids: &Tensor) -> Tensor {
    let set = Some(adapter.frozen(model).unwrap());
    forward_with(model, set.as_ref(), &ids(input_ids), 2)
}

/// PEFT's file as it was trained beside changed weights, and converted to a plain adapter.
#[test]
fn both_files_of_peft_compute_what_they_compute_there() {
    for (run, init) in RUNS {
        let want = tensors(&golden(run).join("logits.safetensors"));
        for (file, init) in [
            ("final_adapter_full", init),
            ("converted_adapter", Init::Lora),
        ] {
            let mut model = model("qwen3");
            let adapter = adapted(&model, &golden(run).join(file), |_| {});
            assert_eq!(adapter.config.init, init);
            let check = |logits: Tensor, what: &str| {
                let difference = max_difference(&logits, &want["logits"]);
                assert!(difference < 1e-4, "{run} {file} {what}: {difference}");
            };
            check(logits(&model, &adapter, &want["input_ids"]), "frozen");
            let trained = Some(&adapter.set);
            let input_ids = ids(&want["input_ids"]);
            check(forward_with(&model, trained, &input_ids, 2), "trained");
            model.fuse(&adapter.set).unwrap();
            check(forward_with(&model, None, &input_ids, 2), "fused");
        }
    }
}

/// What is saved is PEFT's conversion: the file works beside the model as it is, in any tool.
#[test]
fn a_saved_adapter_is_a_plain_one_and_goes_on_to_the_bit() {
    for (run, init) in RUNS {
        let model = model("qwen3");
        let adapter = adapted(&model, &golden(run).join("final_adapter_full"), |_| {});
        let out = tempfile::tempdir().unwrap();
        adapter.save(out.path(), "base").unwrap();
        check_plain(run, out.path());
        let read = adapted(&model, out.path(), |_| {});
        assert_eq!(read.config.init, init);
        assert_eq!(read.config.r, adapter.config.r);
        let scale = |adapted: &Adapted| adapted.plan.placements[0].scale;
        assert_eq!(scale(&read).to_bits(), scale(&adapter).to_bits());
        same(&adapter.set.parameters(), &read.set.parameters());
        let again = tempfile::tempdir().unwrap();
        read.save(again.path(), "base").unwrap();
        let bytes = |folder: &Path| {
            let files = ["adapter_config.json", "adapter_model.safetensors"];
            files.map(|name| std::fs::read(folder.join(name)).unwrap())
        };
        assert_eq!(bytes(out.path())[1], bytes(again.path())[1]);
    }
}

fn check_plain(run: &str, folder: &Path) {
    let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&config["r"], &config["init_lora_weights"]),
        (&6.into(), &true.into())
    );
    let ours = tensors(&folder.join("adapter_model.safetensors"));
    let theirs = golden(run).join("converted_adapter/adapter_model.safetensors");
    let theirs = tensors(&theirs);
    assert_eq!(ours.len(), theirs.len());
    for path in paths(&theirs) {
        let difference = max_difference(&product(&ours, path), &product(&theirs, path));
        assert!(difference < 1e-4, "{run} {path}: {difference}");
        // The trained half lies where PEFT has it.
        let key = format!("{path}.lora_A.weight");
        let half = |t: &Tensor| t.narrow(0, 0, 3).unwrap();
        assert_eq!(
            max_difference(&half(&ours[&key]), &half(&theirs[&key])),
            0.0
        );
    }
    // Without the mark in its header, or a model, it is the plain adapter that it says it is.
    let portable = format::read(folder).unwrap().portable().unwrap();
    assert_eq!((portable.config.init, portable.config.r), (Init::Lora, 6));
}

fn same(a: &[(String, candle_core::Var)], b: &[(String, candle_core::Var)]) {
    assert_eq!(a.len(), b.len());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!((name, max_difference(a, b)), (other, 0.0));
    }
}

#[test]
fn an_adapter_goes_to_other_tools_as_a_plain_one() {
    for (run, _) in RUNS {
        let model = model("qwen3");
        let adapter = adapted(&model, &golden(run).join("final_adapter_full"), |_| {});
        let out = tempfile::tempdir().unwrap();
        let portable = adapter.portable(&model, "base").unwrap();
        mlx::write(out.path(), &portable, false).unwrap();
        let read = adapted(&model, out.path(), |_| {});
        let want = tensors(&golden(run).join("logits.safetensors"));
        let difference =
            max_difference(&logits(&model, &read, &want["input_ids"]), &want["logits"]);
        assert!(difference < 1e-4, "{run}: {difference}");
    }
}

/// The part that is taken away is that of the numbers that a packed weight stands for.
#[test]
fn a_packed_weight_is_changed_by_no_fresh_adapter() {
    for init in [Init::Pissa, Init::Olora] {
        let model = model("mlx-4bit");
        let config = LoraConfig {
            init,
            r: 2,
            ..LoraConfig::default()
        };
        let adapter = Adapted::fresh(&model, config, 0).unwrap();
        let tokens: Vec<u32> = (1..25).collect();
        let with = forward_with(&model, Some(&adapter.set), &tokens, 2);
        let without = forward_with(&model, None, &tokens, 2);
        let difference = max_difference(&with, &without);
        assert!(difference < 1e-4, "{init:?}: {difference}");
    }
}

#[test]
fn what_cannot_begin_as_a_part_of_a_weight_is_refused() {
    let model = model("qwen3");
    let refused = |change: &dyn Fn(&mut LoraConfig), said: &str| {
        let mut config = config(Init::Pissa);
        change(&mut config);
        let error = Adapted::fresh(&model, config, 0).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    let names = |names: &[&str]| Targets::Names(names.iter().map(|n| n.to_string()).collect());
    refused(
        &|c| c.targets = names(&["embed_tokens"]),
        "lora on a token embedding",
    );
    refused(&|c| c.alpha = -1.0, "where alpha is below 0");
    refused(&|c| c.r = 1000, "and model.layers.0");
    refused(
        &|c| c.method = metal_candle::lora::Method::Dora,
        "pissa with dora",
    );
    // PEFT's file, and no model that tells the weights.
    let file = format::read(&golden("qwen3/train-pissa/final_adapter_full")).unwrap();
    let error = file.portable().unwrap_err().to_string();
    assert!(error.contains("init_lora_weights = pissa"), "{error}");
}

/// PEFT trained against the weights as they were before they were packed.
#[test]
fn a_file_of_peft_is_refused_beside_a_packed_weight() {
    let mut model = model("qwen3");
    let infos = model.decoder.layer_infos().unwrap();
    let file = format::read(&golden("qwen3/train-olora/final_adapter_full")).unwrap();
    let plan = file.plan(&file.config(&infos).unwrap(), &infos).unwrap();
    let packed: Vec<Linear> = model.decoder.adaptable().into_iter().map(packed).collect();
    let error = file.load(&plan, &packed, &[]).unwrap_err().to_string();
    assert!(error.contains("init_lora_weights = olora"), "{error}");
    // And taken beside a dense one.
    let set = file.load(&plan, &model.decoder.adaptable(), &[]).unwrap();
    model.fuse(&Arc::new(set)).unwrap();
}

fn packed(layer: Linear) -> Linear {
    let weight = layer
        .weight()
        .dense()
        .unwrap()
        .to_device(&Device::Cpu)
        .unwrap();
    match Affine::quantize(&weight, 4, 32) {
        Ok(packed) => Linear::new(layer.path(), Weight::from(packed), None),
        Err(_) => layer,
    }
}
