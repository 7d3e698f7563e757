//! Every check passes on adapters as training leaves them, and fails on one that was spoilt in the way it is about.

use super::*;
use crate::data::IGNORED;
use crate::language_model::Adapted;
use crate::layout::Layout;
use crate::lora::{AdapterSet, Context, LoraConfig, Method, Mode, Targets};
use crate::models::{Decoder, Pass};
use crate::random::normal;
use crate::train::Network;
use candle_core::Device;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use serde_json::json;

fn model() -> Model {
    let config = json!({
        "model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 96,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "hidden_act": "silu",
        "initializer_range": 0.2, "tie_word_embeddings": true,
    });
    Model::random(config, 1, &Device::Cpu).unwrap()
}

/// A base whose matrices are packed, as mlx-lm does.
fn packed() -> Model {
    let mut model = model();
    for (_, weight) in model.decoder.matrices_mut() {
        let dense = weight.tensor().unwrap();
        *weight = Weight::from(Affine::quantize(dense, 4, 32).unwrap());
    }
    model
}

fn names(names: &[&str]) -> Targets {
    Targets::Names(names.iter().map(|name| name.to_string()).collect())
}

fn configs() -> Vec<LoraConfig> {
    let lora = LoraConfig::default();
    let both_ends = names(&["q_proj", "embed_tokens", "lm_head"]);
    let dora = LoraConfig {
        method: Method::Dora,
        ..lora.clone()
    };
    vec![
        lora.clone(),
        dora.clone(),
        LoraConfig {
            targets: both_ends.clone(),
            ..lora.clone()
        },
        LoraConfig {
            targets: both_ends.clone(),
            ..dora
        },
        LoraConfig {
            targets: both_ends,
            ensure_weight_tying: true,
            ..lora.clone()
        },
        LoraConfig {
            modules_to_save: vec!["lm_head".into()],
            dropout: 0.2,
            ..lora
        },
    ]
}

/// An adapter that has been trained.
fn trained(model: &Model, config: LoraConfig) -> Adapted {
    let adapted = Adapted::fresh(model, config, 3).unwrap();
    change(&adapted, |name, value| {
        let noise = normal(4, name, value.elem_count(), 0.05);
        let noise = Tensor::from_vec(noise, value.shape(), value.device()).unwrap();
        (value + noise).unwrap()
    });
    adapted
}

fn change(adapted: &Adapted, to: impl Fn(&str, &Tensor) -> Tensor) {
    for (name, var) in adapted.set.parameters() {
        var.set(&to(&name, &var.as_detached_tensor())).unwrap();
    }
}

fn rows() -> Vec<Example> {
    let row = |line: usize| Example {
        tokens: (0..12).map(|i| ((i * i + 5 * line) % 96) as u32).collect(),
        trained: (0..12).map(|i| i > 4).collect(),
        pair: None,
        line,
    };
    (1..=3).map(row).collect()
}

fn verified(model: &Model, adapted: &Adapted, rows: &[Example], folder: &Path) -> Report {
    let read = || {
        let again = Adapted::read(folder, model, folder, |_| {});
        let again = again.map_err(|error| error.to_string())?;
        let named = again.set.parameters().into_iter();
        Ok(named
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect())
    };
    let subject = Subject {
        model,
        parameters: &Parameters::of_adapters(adapted.set.clone(), &model.decoder),
        rows,
        masked: rows,
        tokenizer: None,
        file: Some(Saved {
            path: folder,
            read: &read,
        }),
    };
    verify(&subject, &Effort::WHOLE).unwrap()
}

/// Names of the checks that failed, after the adapter was saved and then `spoil` had its way.
fn failing(
    adapted: &Adapted,
    model: &Model,
    rows: &[Example],
    spoil: impl Fn(&Path),
) -> Vec<&'static str> {
    let folder = tempfile::tempdir().unwrap();
    adapted.save(folder.path(), "base").unwrap();
    spoil(folder.path());
    let report = verified(model, adapted, rows, folder.path());
    assert_eq!(report.checks.len(), 5);
    let skipped = report
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Skipped);
    assert_eq!(skipped.count(), usize::from(rows.is_empty()), "{report:?}");
    report.failed().map(|check| check.name).collect()
}

#[test]
fn adapters_of_every_method_pass_over_dense_and_packed_bases() {
    for model in [model(), packed()] {
        for config in configs() {
            let adapted = trained(&model, config.clone());
            for rows in [rows(), vec![]] {
                let failed = failing(&adapted, &model, &rows, |_| {});
                assert!(failed.is_empty(), "{config:?}: {failed:?}");
            }
        }
    }
}

#[test]
fn a_fresh_adapter_is_reached_and_changes_nothing() {
    let model = model();
    for config in configs().into_iter().take(2) {
        let adapted = Adapted::fresh(&model, config, 3).unwrap();
        assert_eq!(failing(&adapted, &model, &rows(), |_| {}), ["output"]);
        let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
        let figures = gradients(
            &model.decoder,
            &parameters,
            &pieces::of_rows(&rows(), &Effort::WHOLE),
        );
        let figures = figures.unwrap();
        assert_eq!(figures.waiting, 3 * 7, "A of every layer waits for B");
    }
}

#[test]
fn an_adapter_of_zeros_is_told() {
    let model = model();
    let adapted = trained(&model, LoraConfig::default());
    change(&adapted, |_, value| value.zeros_like().unwrap());
    let failed = failing(&adapted, &model, &rows(), |_| {});
    assert_eq!(failed, ["gradients", "output"]);
}

#[test]
fn an_adapter_that_is_not_finite_is_told() {
    let model = model();
    let adapted = trained(&model, LoraConfig::default());
    change(&adapted, |name, value| {
        match name.ends_with("lora_B.weight") {
            true => (value * f64::NAN).unwrap(),
            false => (value * 1.0).unwrap(),
        }
    });
    let failed = failing(&adapted, &model, &rows(), |_| {});
    for check in ["gradients", "output"] {
        assert!(failed.contains(&check), "{failed:?}");
    }
}

/// A model whose first block computes with its adapters as numbers: no gradient comes to them.
struct Cut<'a>(&'a Decoder);

impl Network for Cut<'_> {
    type Pass = [Pass; 2];

    fn device(&self) -> &Device {
        self.0.device()
    }

    fn n_blocks(&self) -> usize {
        self.0.n_blocks()
    }

    fn pass(&self, layout: &Layout, context: &Context) -> crate::models::Result<[Pass; 2]> {
        let untracked = Context {
            mode: Mode::INFERENCE,
            ..context.clone()
        };
        Ok([
            self.0.pass(layout, &untracked)?,
            self.0.pass(layout, context)?,
        ])
    }

    fn embed(
        &self,
        ids: &[u32],
        layout: &Layout,
        context: &Context,
    ) -> crate::models::Result<Tensor> {
        self.0.embed(ids, layout, context)
    }

    fn block(&self, i: usize, x: &Tensor, pass: &[Pass; 2]) -> crate::models::Result<Tensor> {
        self.0.block(i, x, &pass[i.min(1)])
    }

    fn final_norm(&self, x: &Tensor) -> crate::models::Result<Tensor> {
        self.0.final_norm(x)
    }

    fn head_layer(&self) -> crate::lora::Linear {
        self.0.head_layer()
    }
}

#[test]
fn tensors_without_a_gradient_are_named() {
    let model = model();
    let adapted = trained(&model, LoraConfig::default());
    let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
    let batch = pieces::of_rows(&rows(), &Effort::WHOLE);
    let whole = gradients(&model.decoder, &parameters, &batch).unwrap();
    assert!(whole.passed() && whole.reached == 2 * 3 * 7, "{whole:?}");
    let cut = gradients(&Cut(&model.decoder), &parameters, &batch).unwrap();
    assert!(!cut.passed());
    assert_eq!((cut.reached, cut.unreached.len()), (2 * 2 * 7, 2 * 7));
    let all_of_the_first = |name: &String| name.starts_with("model.layers.0.");
    assert!(cut.unreached.iter().all(all_of_the_first), "{cut:?}");
    assert!(
        cut.text()
            .contains("none at model.layers.0.mlp.down_proj.lora_A.weight")
    );
}

#[test]
fn a_merge_with_a_wrong_scale_is_told() {
    for model in [model(), packed()] {
        for config in configs().into_iter().take(4) {
            let adapted = trained(&model, config.clone());
            let layers = merge::adapted(&model.decoder, &adapted.set).unwrap();
            let scaled = |set: &AdapterSet, layer: &crate::lora::Linear| {
                let before = layer.weight().dense()?;
                let update = (fused(set, layer)? - &before)?;
                Ok((before + (update * 1.02)?)?)
            };
            let right = merge(&adapted.set, &layers, usize::MAX, fused).unwrap();
            assert!(right.passed(), "{config:?}: {right:?}");
            let wrong = merge(&adapted.set, &layers, usize::MAX, scaled).unwrap();
            assert_eq!(wrong.over.len(), layers.len(), "{config:?}: {wrong:?}");
            assert!(!wrong.passed() && wrong.difference > 10.0 * right.difference);
        }
    }
}

/// Rounding the update to bfloat16: `2^-9` of each number at most, and so many times the length of the update.
#[test]
fn what_rounding_loses_of_an_update_is_measured() {
    let mut model = model();
    for (_, weight) in model.decoder.matrices_mut() {
        *weight = weight
            .tensor()
            .unwrap()
            .to_dtype(candle_core::DType::BF16)
            .unwrap()
            .into();
    }
    let adapted = trained(&model, LoraConfig::default());
    let layers = merge::adapted(&model.decoder, &adapted.set).unwrap();
    let figures = merge(&adapted.set, &layers, usize::MAX, fused).unwrap();
    let lost = figures.lost.unwrap();
    assert!(figures.passed() && figures.dtype == Some("bf16"));
    assert!((1e-4..0.5).contains(&lost), "{lost}");
    assert!(figures.text().contains("in bf16"), "{}", figures.text());
}

#[test]
fn few_layers_are_merged_where_there_is_little_time() {
    let model = model();
    let adapted = trained(&model, LoraConfig::default());
    let layers = merge::adapted(&model.decoder, &adapted.set).unwrap();
    for (n_values, expected) in [(0, 1), (1, 1), (usize::MAX, 21)] {
        let figures = merge(&adapted.set, &layers, n_values, fused).unwrap();
        assert_eq!(
            (figures.layers, figures.left_out),
            (expected, 21 - expected)
        );
    }
}

#[test]
fn a_mask_that_trains_on_nothing_is_told() {
    let mut examples = rows();
    examples[1].trained.fill(false);
    let all: Vec<&Example> = examples.iter().collect();
    let batch = Batch::new(Arrangement::Padded, &all);
    let figures = mask(&examples, &batch, None);
    assert_eq!((figures.untrained.clone(), figures.trained), (vec![2], 14));
    assert!(!figures.passed());
    examples.iter_mut().for_each(|row| row.trained.fill(false));
    let batch = Batch::new(Arrangement::Padded, &examples.iter().collect::<Vec<_>>());
    let figures = mask(&examples, &batch, None);
    assert!(!figures.passed() && figures.trained == 0);
}

#[test]
fn targets_beside_the_mask_are_told() {
    let rows = rows();
    for arrangement in [Arrangement::Padded, Arrangement::Packed] {
        let right = Batch::new(arrangement, &rows.iter().collect::<Vec<_>>());
        let figures = mask(&rows, &right, None);
        assert!(figures.passed(), "{figures:?}");
        assert_eq!((figures.tokens, figures.trained), (36, 21));
        let mut wrong = right.clone();
        wrong.targets[11 + 2] = 7;
        assert_eq!(mask(&rows, &wrong, None).misplaced, [2]);
        let mut wrong = right;
        wrong.targets[5] = IGNORED;
        assert_eq!(mask(&rows, &wrong, None).misplaced, [1]);
    }
}

#[test]
fn a_file_that_was_changed_is_told() {
    let model = model();
    let adapted = trained(&model, LoraConfig::default());
    let tensors = "adapter_model.safetensors";
    let one_number = |folder: &Path| {
        let path = folder.join(tensors);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    assert_eq!(failing(&adapted, &model, &rows(), one_number), ["file"]);
    let gone = |folder: &Path| std::fs::remove_file(folder.join(tensors)).unwrap();
    assert_eq!(failing(&adapted, &model, &rows(), gone), ["file"]);
    let alpha = |folder: &Path| {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace("\"r\": 8", "\"r\": 4")).unwrap();
    };
    assert_eq!(failing(&adapted, &model, &rows(), alpha), ["file"]);
}

#[test]
fn weights_of_the_model_itself_have_no_adapter_to_leave_out() {
    let mut model = model();
    let parameters = Parameters::all_weights(&mut model).unwrap();
    let rows = rows();
    let subject = Subject {
        model: &model,
        parameters: &parameters,
        rows: &rows,
        masked: &rows,
        tokenizer: None,
        file: None,
    };
    let report = verify(&subject, &Effort::quick(model.decoder.n_parameters())).unwrap();
    let outcomes = report
        .checks
        .iter()
        .map(|check| (check.name, check.outcome));
    let expected = [
        ("gradients", Outcome::Passed),
        ("output", Outcome::Skipped),
        ("merge", Outcome::Skipped),
        ("mask", Outcome::Passed),
        ("file", Outcome::Skipped),
    ];
    assert_eq!(Vec::from_iter(outcomes), expected);
}
