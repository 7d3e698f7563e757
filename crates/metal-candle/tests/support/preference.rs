//! Pairs of `scripts/golden/preference.py`, and steps that learn from them, on any device.

use super::training::frobenius;
use super::{adapter, golden, model_on, tensors};
use candle_core::Device;
use metal_candle::data::{Batch, Example, Pair};
use metal_candle::layout::Arrangement;
use metal_candle::lora::Mode;
use metal_candle::models::Model;
use metal_candle::train::step::StepResult;
use metal_candle::train::{Dpo, DpoLoss, Objective, Orpo, Parameters, Preference};
use serde_json::Value;

pub fn json(name: &str) -> Value {
    let text = std::fs::read_to_string(golden("preference").join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// RUNS of the script.
pub fn runs() -> [(&'static str, Preference); 6] {
    let dpo = |beta, label_smoothing, loss_type| {
        Preference::Dpo(Dpo {
            beta,
            label_smoothing,
            loss_type,
        })
    };
    [
        ("sigmoid", dpo(0.1, 0.0, DpoLoss::Sigmoid)),
        ("smoothed", dpo(0.3, 0.2, DpoLoss::Sigmoid)),
        ("robust", dpo(0.3, 0.1, DpoLoss::Robust)),
        ("hinge", dpo(0.2, 0.0, DpoLoss::Hinge)),
        ("ipo", dpo(0.1, 0.0, DpoLoss::Ipo)),
        ("orpo", Preference::Orpo(Orpo { beta: 0.25 })),
    ]
}

pub fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// A pair, the prompt of the better completion trained where `method` has a use for it.
pub fn example(line: usize, pair: &Value, method: &Preference) -> Example {
    let with = |key: &str| [ids(&pair["prompt_ids"]), ids(&pair[key])].concat();
    let (n_prompt, tokens) = (ids(&pair["prompt_ids"]).len(), with("chosen_ids"));
    let is_trained = |i| i >= n_prompt || (i > 0 && method.has_likelihood());
    Example {
        trained: (0..tokens.len()).map(is_trained).collect(),
        tokens,
        line,
        pair: Some(Pair {
            n_prompt,
            rejected: with("rejected_ids"),
        }),
    }
}

/// Pairs of every step.
pub fn steps(method: &Preference) -> Vec<Vec<Example>> {
    let steps = json("pairs.json");
    let step = |pairs: &Value| {
        let pairs = pairs.as_array().unwrap().iter().enumerate();
        pairs
            .map(|(i, pair)| example(i + 1, pair, method))
            .collect()
    };
    steps.as_array().unwrap().iter().map(step).collect()
}

pub fn laid_out(arrangement: Arrangement, pairs: &[Example]) -> Batch {
    Batch::new(arrangement, &pairs.iter().collect::<Vec<_>>())
}

pub fn trained_model(device: &Device) -> (Model, Parameters) {
    let mut model = model_on("qwen3", device);
    let set = adapter(&mut model, &golden("preference/adapter"));
    let parameters = Parameters::of_adapters(set, &model.decoder);
    (model, parameters)
}

/// Gradients of the first step, padded and packed, with blocks kept and computed again.
pub fn gradients_equal_trl(device: &Device) {
    let golden = tensors(&golden("preference/gradients.safetensors"));
    for (name, method) in runs() {
        let (model, parameters) = trained_model(device);
        let pairs = steps(&method).remove(0);
        for arrangement in [Arrangement::Padded, Arrangement::Packed] {
            for recompute in [false, true] {
                let batch = laid_out(arrangement, &pairs);
                let result = step(&model, &parameters, method, &batch, recompute);
                assert_eq!(result.count(), 3);
                let gradients = parameters
                    .as_slice()
                    .iter()
                    .zip(result.gradients.as_slice());
                for (parameter, gradient) in gradients {
                    let got = gradient.as_ref().unwrap().to_device(&Device::Cpu).unwrap();
                    let got = (got / 3.0).unwrap();
                    let want = &golden[&format!("{name}.base_model.model.{}", parameter.name)];
                    let error = frobenius(&(got - want).unwrap()) / frobenius(want);
                    assert!(error < 1e-4, "{name} {}: {error}", parameter.name);
                }
            }
        }
    }
}

pub fn step(
    model: &Model,
    parameters: &Parameters,
    method: Preference,
    batch: &Batch,
    recompute: bool,
) -> StepResult {
    let how = (Mode::training(0), recompute);
    let objective = Objective::Preference(method);
    objective
        .step(&model.decoder, parameters, batch, how)
        .unwrap()
}
