//! Weight decay of some parameters and not of others, as transformers groups them (`scripts/golden/decay.py`), on any device.

use super::training::{frobenius, losses_by, ready};
use super::{golden, max_difference, model, model_on, tensors};
use candle_core::{Device, Tensor, Var};
use metal_candle::models::Segment;
use metal_candle::train::{
    Adafactor, Adam, Adam8bit, Gradients, Muon, Optimizer, Parameter, Parameters, Rule, Sgd,
};
use std::collections::BTreeMap;

fn read(name: &str) -> String {
    std::fs::read_to_string(golden("decay").join(name)).unwrap()
}

pub fn biases_and_norms_do_not_decay_as_in_transformers() {
    let all: BTreeMap<String, Vec<String>> = serde_json::from_str(&read("names.json")).unwrap();
    assert!(all.len() >= 15);
    for (name, decaying) in all {
        let mut model = model(&name);
        let parameters = Parameters::all_weights(&mut model).unwrap();
        for Parameter {
            name: of, decay, ..
        } in parameters.as_slice()
        {
            let want = if decaying.contains(of) { 1.0 } else { 0.0 };
            assert_eq!(*decay, want, "{name}: {of}");
        }
        let alike = parameters.all_decaying();
        assert!(alike.as_slice().iter().all(|p| p.decay == 1.0), "{name}");
    }
}

/// Magnitudes of DoRA decay too.
pub fn adapters_decay_as_in_transformers() {
    let all: Vec<(String, usize, usize)> = serde_json::from_str(&read("adapters.json")).unwrap();
    assert!(all.iter().any(|(run, ..)| run.ends_with("dora")));
    for (run, n_trained, n_decaying) in all {
        let (_, parameters) = ready(&run, "initial_adapter", &Device::Cpu);
        let decaying = parameters.as_slice().iter().filter(|p| p.decay == 1.0);
        let got = (parameters.as_slice().len(), decaying.count());
        assert_eq!(got, (n_trained, n_decaying), "{run}");
    }
}

pub fn three_steps_of_all_weights_equal_transformers_groups(device: &Device) {
    let batches = tensors(&golden("qwen2").join("train/batches.safetensors"));
    let three = |name: &str| batches[name].narrow(0, 0, 3).unwrap();
    let mut model = model_on("qwen2", device);
    let parameters = Parameters::all_weights(&mut model).unwrap();
    let rule = Rule::Adam(Adam {
        eps: 1e-6,
        weight_decay: 0.1,
        ..Adam::default()
    });
    let (ids, labels) = (three("input_ids"), three("labels_masked"));
    let got = losses_by((rule, 1e-2), &model, &parameters, &ids, &labels);
    let want: Vec<f64> = serde_json::from_str(&read("losses.json")).unwrap();
    for (got, want) in got.iter().zip(&want) {
        assert!((got - want).abs() < 1e-4 * want, "{got}, {want}");
    }
    let want = tensors(&golden("decay").join("model.safetensors"));
    assert_eq!(want.len(), parameters.as_slice().len());
    for Parameter { name, var, .. } in parameters.as_slice() {
        let size = frobenius(&want[name]);
        let off = frobenius(&(on_host(var) - &want[name]).unwrap());
        assert!(off < 1e-4 * size, "{name}: {off} of {size}");
    }
}

fn on_host(var: &Var) -> Tensor {
    var.as_tensor().to_device(&Device::Cpu).unwrap()
}

fn numbers(n: usize, phase: f64) -> Tensor {
    let numbers: Vec<f32> = (1..=n).map(|i| (i as f64 * phase).sin() as f32).collect();
    Tensor::new(numbers, &Device::Cpu).unwrap()
}

/// Parameters after four steps, with these factors of their weight decay; the second has its moments in eight bits.
fn after(rule: Rule, decays: [f64; 3], device: &Device) -> Vec<Tensor> {
    let sizes = [(3, 4), (64, 65), (5, 2)];
    let tensor = |(rows, columns), phase| {
        let numbers = numbers(rows * columns, phase).reshape((rows, columns));
        numbers.unwrap().to_device(device).unwrap()
    };
    let parameter = |(size, decay)| Parameter {
        name: format!("{size:?}"),
        var: Var::from_tensor(&tensor(size, 0.7)).unwrap(),
        segment: Segment::Head,
        rate: 1.0,
        decay,
    };
    let parameters = Parameters::new(sizes.into_iter().zip(decays).map(parameter).collect());
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    for step in 1..=4 {
        let gradients = sizes.map(|size| Some(tensor(size, 0.3 + f64::from(step))));
        let gradients = Gradients::new(gradients.to_vec());
        optimizer.step(&parameters, &gradients, 0.01, 1.0).unwrap();
    }
    parameters
        .as_slice()
        .iter()
        .map(|p| on_host(&p.var))
        .collect()
}

/// Rules of every kind with this weight decay.
fn rules(weight_decay: f64) -> [Rule; 5] {
    let adam = Adam {
        weight_decay,
        ..Adam::default()
    };
    let muon = Muon {
        weight_decay,
        ..Muon::default()
    };
    let sgd = Sgd {
        weight_decay,
        ..Sgd::default()
    };
    let adafactor = Adafactor {
        weight_decay,
        ..Adafactor::default()
    };
    [
        Rule::Adam(adam),
        Rule::Adam8bit(Adam8bit(adam)),
        Rule::Muon(muon),
        Rule::Sgd(sgd),
        Rule::Adafactor(adafactor),
    ]
}

/// Of two parameters that do not decay and one that does, each goes as by the rule without decay and with it.
pub fn every_rule_decays_what_decays(device: &Device) {
    for (with, without) in rules(0.5).into_iter().zip(rules(0.0)) {
        for decays in [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]] {
            let got = after(with, decays, device);
            let decayed = after(with, [1.0; 3], device);
            let plain = after(without, [1.0; 3], device);
            for (i, decay) in decays.into_iter().enumerate() {
                let apart = max_difference(&decayed[i], &plain[i]);
                assert!(apart > 1e-3, "{with:?}: {apart}");
                let want = if decay == 1.0 { &decayed } else { &plain };
                let off = max_difference(&got[i], &want[i]);
                assert!(off < 1e-6, "{with:?}, parameter {i}: {off}");
            }
        }
    }
}
