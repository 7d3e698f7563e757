//! Losses, metrics and gradients of DPO and ORPO, and rows of preference data in tokens, equal those of TRL
//! (`scripts/golden/preference.py`).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::Device;
use metal_candle::data::{Batch, Convention, Dataset, Example, Options as RowOptions, Tokenizer};
use metal_candle::layout::Arrangement;
use metal_candle::lora::Mode;
use metal_candle::models::Model;
use metal_candle::train::{
    Event, Gradients, Objective, Optimizer, Options, Parameters, Preference, Report, Schedule,
    Trainer,
};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use support::preference::{self, ids, json, laid_out, runs, step, steps, trained_model};
use support::training::{frobenius, ready};
use support::{golden, model};

#[test]
fn gradients_equal_trl() {
    preference::gradients_equal_trl(&Device::Cpu);
}

/// Reports of ten steps of `size` pairs a micro-batch.
fn train(method: Preference, size: usize, arrangement: Arrangement) -> (Vec<Report>, Parameters) {
    let (model, parameters) = trained_model(&Device::Cpu);
    let options = Options {
        iters: 10,
        objective: Objective::Preference(method),
        schedule: Schedule::constant(1e-2),
        max_grad_norm: 1.0,
        steps_per_report: 1,
        ..Options::default()
    };
    let trainer = Trainer {
        network: &model.decoder,
        parameters: &parameters,
        options: &options,
        saves: None,
        data: "pairs".into(),
        reduce: None,
    };
    let steps = steps(&method);
    let micro_batches = |step: &Vec<Example>| {
        step.chunks(size)
            .map(|part| laid_out(arrangement, part))
            .collect()
    };
    let mut reports = vec![];
    let mut observe = |event: &Event| {
        if let Event::Report(report) = event {
            reports.push(report.clone());
        }
        Ok(())
    };
    let mut optimizer = Optimizer::new(options.rule, &parameters).unwrap();
    let mut batches = steps.iter().map(micro_batches);
    let summary = trainer.run(&mut optimizer, &mut batches, None, &mut observe, &|| false);
    assert_eq!(summary.unwrap().steps, 10);
    (reports, parameters)
}

/// Numbers of a report by TRL's names.
fn numbers(report: &Report) -> HashMap<String, f64> {
    let value = serde_json::to_value(report).unwrap();
    let numbers = value.as_object().unwrap().iter();
    numbers
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect()
}

#[test]
fn ten_losses_and_metrics_equal_trl() {
    let golden = json("runs.json");
    for (name, method) in runs() {
        let (reports, _) = train(method, 3, Arrangement::Padded);
        let want = |series: &Value, i: usize| series[i].as_f64().unwrap();
        for (i, report) in reports.iter().enumerate() {
            let (got, run) = (numbers(report), &golden[name]);
            let check = |what: &str, got: f64, want: f64, tolerance: f64| {
                let error = (got - want).abs();
                assert!(
                    error < tolerance * want.abs().max(1.0),
                    "{name} step {i} {what}: {got}, expected {want}"
                );
            };
            check("loss", got["train_loss"], want(&run["losses"], i), 1e-5);
            let metrics = run["metrics"].as_object().unwrap();
            assert_eq!(metrics.len(), if name == "orpo" { 7 } else { 6 });
            for (metric, series) in metrics {
                check(metric, got[metric], want(series, i), 1e-5);
            }
        }
    }
}

#[test]
fn any_split_of_a_step_trains_the_same() {
    for (name, method) in [&runs()[0], &runs()[4], &runs()[5]] {
        let (reports, parameters) = train(*method, 3, Arrangement::Padded);
        for size in [1, 2] {
            let (others, split) = train(*method, size, Arrangement::Packed);
            for (a, b) in reports.iter().zip(&others) {
                let error = (a.train_loss - b.train_loss).abs();
                assert!(
                    error < 1e-5 * a.train_loss,
                    "{name} {size}: {} and {}",
                    a.train_loss,
                    b.train_loss
                );
                assert_eq!(
                    a.preference.unwrap().accuracy,
                    b.preference.unwrap().accuracy
                );
            }
            for (a, b) in parameters.as_slice().iter().zip(split.as_slice()) {
                let difference = frobenius(&(a.var.as_tensor() - b.var.as_tensor()).unwrap());
                assert!(
                    difference < 1e-3 * frobenius(&a.var),
                    "{name} {size} {}: {difference}",
                    a.name
                );
            }
        }
    }
}

#[test]
fn an_evaluation_tells_the_loss_before_training() {
    for (name, method) in runs() {
        let (model, parameters) = trained_model(&Device::Cpu);
        let pairs = steps(&method).remove(0);
        let batches = pairs
            .chunks(2)
            .map(|part| laid_out(Arrangement::Packed, part));
        let objective = Objective::Preference(method);
        let evaluation =
            objective.evaluate(&model.decoder, parameters.adapters(), batches, &|| false);
        let (evaluation, run) = (evaluation.unwrap(), &json("runs.json")[name]);
        let error = (evaluation.loss() - run["losses"][0].as_f64().unwrap()).abs();
        assert!(
            error < 1e-5 * evaluation.loss(),
            "{name}: {}",
            evaluation.loss()
        );
        let margin = evaluation.preference().unwrap().margin;
        assert!((margin - run["metrics"]["rewards/margins"][0].as_f64().unwrap()).abs() < 1e-5);
    }
}

/// The slope of the loss along each parameter's gradient is the norm of that gradient.
fn check_derivatives(
    model: &Model,
    parameters: &Parameters,
    method: Preference,
    batch: &Batch,
    gradients: &Gradients,
) {
    let h = 1e-3;
    for (parameter, gradient) in parameters.as_slice().iter().zip(gradients.as_slice()) {
        let gradient = gradient.as_ref().expect(&parameter.name);
        let norm = f64::from(frobenius(gradient));
        // Where B is zero, A has no gradient.
        if norm == 0.0 && parameter.name.ends_with("lora_A.weight") {
            continue;
        }
        let start = metal_candle::device::snapshot(&parameter.var).unwrap();
        let loss = |distance: f64| {
            let moved = (&start + (gradient * (distance / norm)).unwrap()).unwrap();
            parameter.var.set(&moved).unwrap();
            step(model, parameters, method, batch, false).loss_sum
        };
        let slope = (loss(h) - loss(-h)) / (2.0 * h);
        parameter.var.set(&start).unwrap();
        let error = (slope - norm).abs();
        assert!(
            error < 0.02 * norm + 0.01,
            "{} {method:?} {}: {slope} {norm}",
            model.config.model_type,
            parameter.name
        );
    }
}

/// The head has an adapter beside it, or is a weight of the adapter's own.
#[test]
fn adapters_of_the_head_learn_preferences() {
    for (run, folder) in [
        ("qwen2/train-ends", "accumulation_adapter"),
        ("qwen3/train-saved", "initial_adapter"),
    ] {
        let (model, parameters) = ready(run, folder, &Device::Cpu);
        for (_, method) in [&runs()[0], &runs()[5]] {
            let batch = laid_out(Arrangement::Padded, &steps(method)[0]);
            let gradients = step(&model, &parameters, *method, &batch, false).gradients;
            check_derivatives(&model, &parameters, *method, &batch, &gradients);
        }
    }
}

#[test]
fn all_weights_learn_preferences_without_a_reference() {
    let (sigmoid, orpo) = (runs()[0].1, runs()[5].1);
    for name in ["qwen2", "qwen3"] {
        let mut model = model(name);
        let parameters = Parameters::all_weights(&mut model).unwrap();
        let batch = laid_out(Arrangement::Padded, &steps(&orpo)[0]);
        let gradients = step(&model, &parameters, orpo, &batch, false).gradients;
        check_derivatives(&model, &parameters, orpo, &batch, &gradients);
        let (objective, how) = (Objective::Preference(sigmoid), (Mode::training(0), false));
        let error = objective
            .step(&model.decoder, &parameters, &batch, how)
            .unwrap_err();
        assert!(error.to_string().contains("without its adapter"), "{error}");
    }
}

#[test]
fn rows_and_objectives_that_do_not_fit_are_refused() {
    let (model, parameters) = trained_model(&Device::Cpu);
    let method = runs()[0].1;
    let mut pair = steps(&method).remove(0).remove(0);
    let batch = |example: &Example| Batch::new(Arrangement::Padded, &[example]);
    let refused = |objective: Objective, batch: &Batch| {
        let how = (Mode::training(0), false);
        let error = objective.step(&model.decoder, &parameters, batch, how);
        error.unwrap_err().to_string()
    };
    let error = refused(Objective::Likelihood, &batch(&pair));
    assert!(
        error.contains("no rows of supervised fine-tuning") && error.contains("[1]"),
        "{error}"
    );
    pair.pair = None;
    let error = refused(Objective::Preference(method), &batch(&pair));
    assert!(
        error.contains("these rows are none") && error.contains("[1]"),
        "{error}"
    );
}

/// The tokenizer of a family, without its chat template where texts are read.
fn tokenizer(family: &str, has_template: bool, folder: &Path) -> Tokenizer {
    let from = golden("chat").join(family);
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    ] {
        let is_wanted = from.join(name).exists() && (has_template || name != "chat_template.jinja");
        if is_wanted {
            std::fs::copy(from.join(name), folder.join(name)).unwrap();
        }
    }
    if !has_template {
        let path = folder.join("tokenizer_config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config.as_object_mut().unwrap().remove("chat_template");
        std::fs::write(&path, config.to_string()).unwrap();
    }
    Tokenizer::from_folder(folder).unwrap()
}

#[test]
fn rows_become_trls_tokens() {
    let cases = json("rows.json");
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 22);
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let family = case["family"].as_str().unwrap();
        let tokenizer = tokenizer(
            family,
            case["has_template"].as_bool().unwrap(),
            folder.path(),
        );
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, case["row"].to_string()).unwrap();
        let options = RowOptions {
            max_seq_length: 1000,
            mask_prompt: true,
            convention: Convention::Pairs,
            vocab_size: None,
        };
        let dataset = Dataset::load(&path, &tokenizer, &options).unwrap();
        let [example] = &dataset.examples.first(2).unwrap()[..] else {
            panic!("{case}");
        };
        let pair = example.pair.as_ref().unwrap();
        let n_prompt = case["n_prompt"].as_u64().unwrap() as usize;
        let row = &case["row"];
        assert_eq!(example.tokens, ids(&case["chosen"]), "{family} {row}");
        assert_eq!(pair.rejected, ids(&case["rejected"]), "{family} {row}");
        assert_eq!(pair.n_prompt, n_prompt, "{family} {row}");
        let trained = (0..example.tokens.len()).map(|i| i >= n_prompt.max(1));
        assert_eq!(example.trained, trained.collect::<Vec<_>>());
    }
}
