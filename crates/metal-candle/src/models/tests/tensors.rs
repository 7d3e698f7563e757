//! Tensors of a checkpoint: names, shapes, dtypes and values.

use super::*;

/// transformers ties them whatever the head's dtype.
#[test]
fn a_tied_head_may_be_stored_in_any_form() {
    let checkpoint = Checkpoint::new();
    let (logits, embedding) = (checkpoint.logits(), checkpoint.tensors()[EMBEDDING].clone());
    let store =
        |head: Tensor| checkpoint.edit_tensors(|tensors| drop(tensors.insert(HEAD.into(), head)));
    store(embedding.clone());
    assert_eq!(checkpoint.logits(), logits, "the same");
    for dtype in [DType::BF16, DType::F16] {
        store(embedding.to_dtype(dtype).unwrap());
        assert_eq!(checkpoint.logits(), logits, "rounded to {dtype:?}");
    }
    // bfloat16 by cutting digits off.
    let values = embedding.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let cut = values
        .iter()
        .map(|x| half::bf16::from_bits((x.to_bits() >> 16) as u16))
        .collect();
    store(Tensor::from_vec(cut, embedding.shape(), &Device::Cpu).unwrap());
    assert_eq!(checkpoint.logits(), logits, "cut");

    store((&embedding * 1.1).unwrap().to_dtype(DType::BF16).unwrap());
    checkpoint.refuses(&["lm_head.weight differs from model.embed_tokens.weight"]);
    store((&embedding * 1.000_001).unwrap());
    checkpoint.refuses(&["lm_head.weight differs from model.embed_tokens.weight"]);
    store(Tensor::zeros((40, 15), DType::F32, &Device::Cpu).unwrap());
    checkpoint.refuses(&["lm_head.weight: expected [40, 16], got [40, 15]"]);

    checkpoint.edit_tensors(|tensors| {
        tensors.remove(EMBEDDING);
        tensors.insert(HEAD.into(), embedding.clone());
    });
    assert_eq!(checkpoint.logits(), logits, "the head alone");
}

#[test]
fn sizes_are_compared_with_the_files_first() {
    let checkpoint = Checkpoint::new();
    for (name, value) in [
        ("num_hidden_layers", 1_000_000_000u64),
        ("num_hidden_layers", 1_000_000),
        ("vocab_size", 2_000_000_000),
        ("hidden_size", 2_000_000_000),
        ("intermediate_size", 2_000_000_000),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_config(|config| {
            config["head_dim"] = 8.into();
            config[name] = value.into();
        });
        let message = checkpoint.refuses(&["does not match its configuration"]);
        assert!(message.lines().count() < 25, "{message}");
    }
    checkpoint.edit_config(|config| config["num_hidden_layers"] = 1_000_000.into());
    checkpoint.refuses(&["num_hidden_layers is 1000000, but the files hold 2 blocks"]);
}

#[test]
fn twenty_problems_are_listed_and_the_others_counted() {
    let checkpoint = Checkpoint::new();
    checkpoint.edit_tensors(|tensors| {
        for i in 0..70 {
            let stray = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            tensors.insert(format!("stray.{i}\u{1b}[31m"), stray);
        }
    });
    let message = checkpoint.refuses(&["unexpected stray.0", "and 50 more"]);
    assert_eq!(message.lines().count(), 22, "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn tensors_of_other_tools_are_recognised_by_their_names() {
    for (name, expected) in [
        (
            "mlp.up_proj.scales",
            "a quantized model (it has a tensor mlp.up_proj.scales)",
        ),
        (
            "x.weight.absmax",
            "a quantized model (it has a tensor x.weight.absmax)",
        ),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_tensors(|tensors| {
            let scales = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            tensors.insert(name.into(), scales);
        });
        checkpoint.refuses(&[expected]);
    }
    let checkpoint = Checkpoint::new();
    checkpoint.edit_tensors(|tensors| {
        let renamed = tensors
            .drain()
            .map(|(name, tensor)| (format!("base_model.{name}"), tensor));
        *tensors = renamed.collect::<HashMap<_, _>>();
    });
    checkpoint.refuses(&["the first is base_model.model.embed_tokens.weight", "more"]);
}

#[test]
fn dtypes_are_those_of_floats() {
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    checkpoint.edit_tensors(|tensors| {
        let norm = tensors["model.norm.weight"].to_dtype(DType::BF16).unwrap();
        tensors.insert("model.norm.weight".into(), norm);
    });
    assert_eq!(checkpoint.logits(), logits, "ones are exact in every dtype");
    for (dtype, name) in [
        (DType::F64, "F64"),
        (DType::U32, "U32"),
        (DType::I64, "I64"),
    ] {
        checkpoint.edit_tensors(|tensors| {
            let norm = tensors["model.norm.weight"].to_dtype(dtype).unwrap();
            tensors.insert("model.norm.weight".into(), norm);
        });
        checkpoint.refuses(&[&format!(
            "model.norm.weight: dtype {name}, expected F32, F16 or BF16"
        )]);
    }
}

#[test]
fn values_that_are_not_finite_are_named() {
    for (dtype, value) in [
        (DType::F32, f32::NAN),
        (DType::F16, f32::INFINITY),
        (DType::BF16, f32::NEG_INFINITY),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_tensors(|tensors| {
            let mut values = [1f32; 16];
            values[15] = value;
            let norm = Tensor::new(&values, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            tensors.insert("model.norm.weight".into(), norm);
        });
        checkpoint.refuses(&["model.norm.weight: holds NaN or infinite values"]);
    }
}

/// Every expert is asked for, alone or in a stack, and none is there twice.
#[test]
fn experts_are_all_there_once() {
    let checkpoint = Checkpoint::with(json!({
        "model_type": "qwen3_moe", "num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8
    }));
    let logits = checkpoint.logits();
    let name = |layer: &str| format!("model.layers.1.mlp.{layer}.weight");
    let of_expert = |e: usize| name(&format!("experts.{e}.down_proj"));
    let original = checkpoint.tensors();
    let experts: Vec<Tensor> = (0..3).map(|e| original[&of_expert(e)].clone()).collect();
    let store = |change: &dyn Fn(&mut HashMap<String, Tensor>)| {
        checkpoint.edit_tensors(|tensors| {
            *tensors = original.clone();
            change(tensors);
        });
    };
    store(&|tensors| drop(tensors.remove(&of_expert(2))));
    checkpoint.refuses(&["missing model.layers.1.mlp.experts.2.down_proj.weight [16, 8]"]);
    store(&|tensors| {
        let weight = tensors[&of_expert(2)].clone();
        tensors.insert(of_expert(3), weight);
    });
    checkpoint.refuses(&["unexpected model.layers.1.mlp.experts.3.down_proj.weight"]);
    let stacked = |n: usize| {
        store(&|tensors| {
            (0..3).for_each(|e| drop(tensors.remove(&of_expert(e))));
            let stack = Tensor::stack(&experts[..n], 0).unwrap();
            tensors.insert(name("switch_mlp.down_proj"), stack);
        });
    };
    stacked(3);
    assert_eq!(checkpoint.logits(), logits);
    stacked(2);
    checkpoint.refuses(&["missing model.layers.1.mlp.experts.2.down_proj.weight [16, 8]"]);
    store(&|tensors| {
        let stack = Tensor::stack(&experts, 0).unwrap();
        tensors.insert(name("switch_mlp.down_proj"), stack);
    });
    checkpoint.refuses(&["model.layers.1.mlp.experts.0.down_proj.weight is in one file twice"]);
    store(&|tensors| {
        let flat = Tensor::cat(&experts, 0).unwrap();
        (0..3).for_each(|e| drop(tensors.remove(&of_expert(e))));
        tensors.insert(name("switch_mlp.down_proj"), flat);
    });
    checkpoint.refuses(&["unexpected model.layers.1.mlp.switch_mlp.down_proj.weight"]);
}
