//! Adapters that mlx-lm trained, and adapters of ends that are one matrix in PEFT, compute here what they compute
//! there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::Tensor;
use metal_candle::data::Batch;
use metal_candle::gguf::GgufFile;
use metal_candle::language_model::Adapted;
use metal_candle::lora::format::{gguf, mlx, peft};
use metal_candle::lora::{AdapterSet, LoraConfig, Targets};
use metal_candle::models::Model;
use metal_candle::train::{Adam, Optimizer, Parameters, Rule};
use metal_candle::verify::{Effort, Outcome, Subject, verify};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use support::models::forward_with;
use support::training::{batch, run_step};
use support::{adapted, checkpoints, golden, ids, max_difference, model, tensors};

/// See `scripts/golden/adapter_mlx.py`.
const MLX: [(&str, &str); 6] = [
    ("lora", "llama3"),
    ("lora-keys", "qwen3"),
    ("dora", "qwen2"),
    ("tied", "qwen2"),
    ("experts", "mixtral"),
    ("gpt-oss", "mlx-gpt-oss-float"),
];

/// See `scripts/golden/adapter_ties.py`.
const TIES: [&str; 4] = ["embedding", "head", "dora", "saved"];

fn mlx_adapter(case: &str, base: &str) -> (Model, Adapted, HashMap<String, Tensor>) {
    let folder = golden("mlx-adapters").join(case);
    let model = model(base);
    let adapter = adapted(&model, &folder, |_| {});
    (model, adapter, tensors(&folder.join("golden.safetensors")))
}

fn logits(model: &Model, adapter: &Adapted, input_ids: &Tensor) -> Tensor {
    let set = Some(adapter.frozen(model).unwrap());
    forward_with(model, set.as_ref(), &ids(input_ids), 2)
}

#[test]
fn logits_of_an_adapter_of_mlx_equal_mlx_beside_and_merged() {
    for (case, base) in MLX {
        let (mut model, adapter, want) = mlx_adapter(case, base);
        let got = logits(&model, &adapter, &want["input_ids"]);
        let difference = max_difference(&got, &want["logits"]);
        assert!(difference < 1e-4, "{case}: {difference}");
        model.fuse(&adapter.set).unwrap();
        let merged = forward_with(&model, None, &ids(&want["input_ids"]), 2);
        let difference = max_difference(&merged, &want["logits"]);
        assert!(difference < 1e-4, "{case} merged: {difference}");
    }
}

/// Adapters that PEFT and mlx-lm made, over bases that others packed among them, pass every check.
#[test]
fn adapters_of_others_are_verified() {
    let verified = |name: &str, model: &Model, set: Arc<AdapterSet>| {
        let subject = Subject {
            model,
            parameters: &Parameters::of_adapters(set, &model.decoder),
            rows: &[],
            masked: &[],
            tokenizer: None,
            file: None,
        };
        let report = verify(&subject, &Effort::WHOLE).unwrap();
        let passed = report
            .checks
            .iter()
            .filter(|c| c.outcome == Outcome::Passed);
        assert_eq!(passed.count(), 3, "{name}: {report:?}");
    };
    for name in checkpoints() {
        let model = model(&name);
        let adapter = adapted(&model, &golden(&name).join("adapter"), |_| {});
        verified(&name, &model, adapter.set);
    }
    for (case, base) in MLX {
        let (model, adapter, _) = mlx_adapter(case, base);
        verified(case, &model, adapter.set);
    }
    for name in [
        "mlx-4bit",
        "mlx-mxfp4",
        "bnb-nf4",
        "bnb-fp4",
        "bnb-int8",
        "fp8",
    ] {
        let model = model(name);
        let adapted = Adapted::fresh(&model, LoraConfig::default(), 0).unwrap();
        for (_, var) in adapted.set.parameters() {
            var.set(&(var.as_detached_tensor() + 0.01).unwrap())
                .unwrap();
        }
        verified(name, &model, adapted.set);
    }
}

/// A tensor of mlx-lm, as the parameter `name` has it.
fn of_mlx(tensors: &HashMap<String, Tensor>, prefix: &str, name: &str) -> Tensor {
    let (path, rest) = name.split_at(name.find(".lora_").unwrap());
    let end = match rest {
        ".lora_magnitude_vector" => "m",
        a if a.contains("_A") => "lora_a",
        _ => "lora_b",
    };
    if let Some((mixture, expert)) = path.split_once(".experts.") {
        let (number, layer) = expert.split_once('.').unwrap();
        let all = match layer {
            "w1" => "switch_mlp.gate_proj",
            "w2" => "switch_mlp.down_proj",
            "w3" => "switch_mlp.up_proj",
            of_gpt_oss => &format!("experts.{of_gpt_oss}"),
        };
        let all = &tensors[&format!("{prefix}{mixture}.{all}.{end}")];
        return all.get(number.parse().unwrap()).unwrap();
    }
    let tensor = &tensors[&format!("{prefix}{path}.{end}")];
    match tensor.rank() {
        2 => tensor.t().unwrap().contiguous().unwrap(),
        _ => tensor.clone(),
    }
}

#[test]
fn losses_and_gradients_equal_mlx() {
    for (case, base) in MLX {
        let (model, adapter, want) = mlx_adapter(case, base);
        let parameters = Parameters::of_adapters(adapter.set, &model.decoder);
        for parameter in parameters.as_slice() {
            let initial = of_mlx(&want, "initial.", &parameter.name);
            parameter.var.set(&initial).unwrap();
        }
        check_steps(case, &model, &parameters, &want);
    }
}

fn check_steps(case: &str, model: &Model, parameters: &Parameters, want: &HashMap<String, Tensor>) {
    let adam = Adam {
        weight_decay: 0.0,
        ..Adam::default()
    };
    let mut optimizer = Optimizer::new(Rule::Adam(adam), parameters).unwrap();
    let losses = want["losses"].to_vec1::<f32>().unwrap();
    assert_eq!(losses.len(), 5);
    for (i, want_loss) in losses.into_iter().enumerate() {
        let rows = want["batches"].get(i).unwrap();
        let batch: Batch = batch(&rows, &rows);
        let result = run_step(model, parameters, &batch, false);
        let mean = 1.0 / batch.trained_tokens as f64;
        let difference = (result.loss_sum * mean - f64::from(want_loss)).abs();
        assert!(difference < 1e-4, "{case} loss {i}: {difference}");
        if i == 0 {
            let pairs = parameters
                .as_slice()
                .iter()
                .zip(result.gradients.as_slice());
            for (parameter, gradient) in pairs {
                let want = of_mlx(want, "grad.", &parameter.name);
                let got = (gradient.as_ref().unwrap() * mean).unwrap();
                same_gradient(&format!("{case} {}", parameter.name), &got, &want);
            }
        }
        optimizer
            .step(parameters, &result.gradients, 2e-3, mean)
            .unwrap();
    }
}

#[test]
fn an_adapter_of_mlx_is_written_as_it_was_read() {
    for (case, base) in MLX {
        let (model, adapter, want) = mlx_adapter(case, base);
        let out = tempfile::tempdir().unwrap();
        let portable = adapter.portable(&model, "base").unwrap();
        mlx::write(out.path(), &portable, false).unwrap();
        same_file(
            &out.path().join("adapters.safetensors"),
            &golden("mlx-adapters")
                .join(case)
                .join("adapters.safetensors"),
        );
        // And through PEFT's folder.
        let peft = tempfile::tempdir().unwrap();
        adapter.save(peft.path(), "base").unwrap();
        let read = adapted(&model, peft.path(), |_| {});
        assert_eq!(read.plan, adapter.plan, "{case}");
        let got = logits(&model, &read, &want["input_ids"]);
        let difference = max_difference(&got, &want["logits"]);
        assert!(difference < 1e-4, "{case}: {difference}");
    }
}

/// mlx-lm would read factors of as many experts as the file has.
#[test]
fn an_adapter_that_leaves_out_the_last_expert_is_not_written_for_mlx() {
    for (base, layer, all) in [
        ("mixtral", "w1", "block_sparse_moe.switch_mlp.gate_proj"),
        ("gpt_oss", "gate_proj", "mlp.experts.gate_proj"),
    ] {
        let model = model(base);
        let layers = model.decoder.layer_infos().unwrap();
        let of = |e: usize| format!("experts.{e}.{layer}");
        let n_experts = (0..)
            .take_while(|e| layers.iter().any(|layer| layer.path.ends_with(&of(*e))))
            .count();
        let portable = |n: usize| {
            let config = LoraConfig {
                targets: Targets::Names((0..n).map(of).collect()),
                ..LoraConfig::default()
            };
            let adapter = Adapted::fresh(&model, config, 0).unwrap();
            adapter.portable(&model, "base").unwrap()
        };
        let out = tempfile::tempdir().unwrap();
        mlx::write(out.path(), &portable(n_experts), false).unwrap();
        let refused = mlx::write(out.path(), &portable(n_experts - 1), false).unwrap_err();
        let refused = refused.to_string();
        let expected = format!("model.layers.0.{all}: some experts have an adapter");
        assert!(refused.contains(&expected), "{refused}");
        let unknown = metal_candle::lora::format::Portable {
            base: None,
            ..portable(n_experts)
        };
        let refused = mlx::write(out.path(), &unknown, false).unwrap_err();
        assert!(refused.to_string().contains("the model tells"), "{refused}");
    }
}

/// See `scripts/golden/target_parameters.py`.
#[test]
fn adapters_of_all_experts_compute_what_peft_computes() {
    for (base, cases) in [
        ("qwen3_moe", &["both", "down", "gate-up", "converted"][..]),
        ("gpt_oss", &["both", "gate-up"]),
    ] {
        compute_what_peft_computes(base, cases);
    }
}

fn compute_what_peft_computes(base: &str, cases: &[&str]) {
    let folder = golden(base).join("target-parameters");
    let want = tensors(&folder.join("golden.safetensors"));
    for case in cases {
        let model = model(base);
        let adapter = adapted(&model, &folder.join(case), |_| {});
        let got = logits(&model, &adapter, &want["input_ids"]);
        let difference = max_difference(&got, &want[*case]);
        assert!(difference < 1e-4, "{case}: {difference}");
        let out = tempfile::tempdir().unwrap();
        adapter.save(out.path(), "base").unwrap();
        let read = adapted(&model, out.path(), |_| {});
        let again = logits(&model, &read, &want["input_ids"]);
        assert_eq!(max_difference(&again, &got), 0.0, "{case}");
    }
}

fn same_file(ours: &Path, theirs: &Path) {
    let (ours, theirs) = (tensors(ours), tensors(theirs));
    assert_eq!(ours.len(), theirs.len());
    for (key, tensor) in &theirs {
        assert_eq!(max_difference(&ours[key], tensor), 0.0, "{key}");
    }
}

#[test]
fn ends_that_are_one_matrix_equal_peft() {
    let want = tensors(&golden("adapter-ties/golden.safetensors"));
    let last = |logits: Tensor| logits.narrow(1, 39, 1).unwrap().squeeze(1).unwrap();
    for case in TIES {
        let mut model = model("qwen2");
        let folder = golden("adapter-ties").join(case);
        let adapter = adapted(&model, &folder, |_| {});
        let want_logits = &want[&format!("{case}.logits")];
        let got = last(logits(&model, &adapter, &want["input_ids"]));
        let difference = max_difference(&got, want_logits);
        assert!(difference < 1e-4, "{case}: {difference}");
        check_tied_gradients(case, &model, &adapter, &want);
        model.fuse(&adapter.set).unwrap();
        let is_tied = model.raw_config["tie_word_embeddings"] == true;
        assert_eq!(is_tied, case != "dora", "magnitudes of the two ends differ");
        let merged = last(forward_with(&model, None, &ids(&want["input_ids"]), 2));
        let difference = max_difference(&merged, want_logits);
        assert!(difference < 1e-4, "{case} merged: {difference}");
    }
}

/// PEFT's two gradients of what the ends share, added up.
fn check_tied_gradients(
    case: &str,
    model: &Model,
    adapter: &Adapted,
    want: &HashMap<String, Tensor>,
) {
    let parameters = Parameters::of_adapters(adapter.set.clone(), &model.decoder);
    let batch = batch(&want["input_ids"], &want["input_ids"]);
    let result = run_step(model, &parameters, &batch, false);
    let mean = 1.0 / batch.trained_tokens as f64;
    let loss = want[&format!("{case}.loss")].to_scalar::<f32>().unwrap();
    assert!(
        (result.loss_sum * mean - f64::from(loss)).abs() < 1e-4,
        "{case}"
    );
    let prefix = format!("{case}.grad.base_model.model.");
    let n = want.keys().filter(|key| key.starts_with(&prefix)).count();
    assert_eq!(parameters.as_slice().len(), n, "{case}");
    let pairs = parameters
        .as_slice()
        .iter()
        .zip(result.gradients.as_slice());
    for (parameter, gradient) in pairs {
        let got = (gradient.as_ref().unwrap() * mean).unwrap();
        let want = &want[&format!("{prefix}{}", parameter.name)];
        same_gradient(&format!("{case} {}", parameter.name), &got, want);
    }
}

/// Within roundings of float32 of the largest number: what is summed in another order, at another width, differs by these.
fn same_gradient(what: &str, got: &Tensor, want: &Tensor) {
    let largest = max_difference(want, &want.zeros_like().unwrap());
    let difference = max_difference(got, want);
    assert!(
        difference < 1e-5 * largest.max(1.0),
        "{what}: {difference} of {largest}"
    );
}

#[test]
fn ends_that_are_one_matrix_are_written_as_peft_writes_them() {
    for case in TIES {
        let model = model("qwen2");
        let folder = golden("adapter-ties").join(case);
        let adapter = adapted(&model, &folder, |_| {});
        let out = tempfile::tempdir().unwrap();
        adapter.save(out.path(), "base").unwrap();
        let file = "adapter_model.safetensors";
        same_file(&out.path().join(file), &folder.join(file));
        assert_eq!(adapted(&model, out.path(), |_| {}).config, adapter.config);
    }
}

/// Two ends that are two matrices are not made one.
#[test]
fn ends_of_their_own_are_adapted_apart() {
    let model = model("llama3");
    let folder = golden("adapter-files/inert");
    let adapter = adapted(&model, &folder, |_| {});
    assert!(!adapter.config.ensure_weight_tying);
    let out = tempfile::tempdir().unwrap();
    let values = adapter.set.parameters();
    peft::write(out.path(), &adapter.config, "base", &values).unwrap();
    let text = std::fs::read_to_string(out.path().join("adapter_config.json")).unwrap();
    assert!(!text.contains("ensure_weight_tying"));
}

/// A file for llama.cpp holds every tensor, and pairs the rows of queries and keys as the model's own are there.
#[test]
fn an_adapter_for_llama_cpp_is_laid_out_as_its_model() {
    let (model, adapter, _) = mlx_adapter("lora", "llama3");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapter.gguf");
    gguf::write(&path, &adapter.portable(&model, "base").unwrap(), &model).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let text = |key: &str| file.metadata().text(key).unwrap().unwrap().to_string();
    assert_eq!(text("general.type"), "adapter");
    assert_eq!(text("general.architecture"), "llama");
    assert_eq!(text("adapter.type"), "lora");
    let values = |name: &str| {
        let info = file.info(name).unwrap();
        let count = info.shape.iter().product();
        (
            info.shape.clone(),
            file.values(info, count, f32::from_le_bytes).unwrap(),
        )
    };
    let parameters = adapter.set.parameters();
    assert_eq!(file.tensors().count(), parameters.len());
    // (name here, name there, heads whose rows are paired)
    for (path, name, heads) in [
        ("model.layers.1.self_attn.q_proj", "blk.1.attn_q", 4),
        ("model.layers.0.self_attn.k_proj", "blk.0.attn_k", 2),
        ("model.layers.0.self_attn.v_proj", "blk.0.attn_v", 0),
        ("model.layers.1.mlp.down_proj", "blk.1.ffn_down", 0),
    ] {
        for (ours, end) in [("lora_A.weight", "lora_a"), ("lora_B.weight", "lora_b")] {
            let parameter = parameters
                .iter()
                .find(|(known, _)| *known == format!("{path}.{ours}"));
            let want = parameter.unwrap().1.to_vec2::<f32>().unwrap();
            let (shape, got) = values(&format!("{name}.weight.{end}"));
            assert_eq!(shape, [want.len(), want[0].len()], "{name} {end}");
            for (row, got) in got.chunks(want[0].len()).enumerate() {
                let from = match heads {
                    n if n > 0 && end == "lora_b" => {
                        let width = want.len() / n;
                        let (head, in_head) = (row / width, row % width);
                        head * width + in_head % 2 * (width / 2) + in_head / 2
                    }
                    _ => row,
                };
                assert_eq!(got, want[from], "{name} {end} {row}");
            }
        }
    }
}
