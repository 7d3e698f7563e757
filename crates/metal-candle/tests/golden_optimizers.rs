//! Optimizers and schedules against `golden/optimizers`, which PyTorch, bitsandbytes, transformers, MLX and mlx-lm
//! computed (`scripts/golden/optimizers.py`).
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::Device;
use metal_candle::train::{Adam, Decay, Muon, Optimizer, Parameters, Rule, Schedule, Sgd, Warmup};
use std::collections::HashMap;
use support::decay;
use support::optimizers::{self, RATE, file};

#[test]
fn rules_of_pytorch() {
    optimizers::rules_of_pytorch(&Device::Cpu);
}

#[test]
fn adam_of_mlx() {
    optimizers::adam_of_mlx(&Device::Cpu);
}

#[test]
fn momentum_of_mlx() {
    optimizers::momentum_of_mlx(&Device::Cpu);
}

#[test]
fn adafactor_of_mlx() {
    optimizers::adafactor_of_mlx(&Device::Cpu);
}

#[test]
fn moments_in_eight_bits_are_those_of_bitsandbytes() {
    optimizers::moments_in_eight_bits_are_those_of_bitsandbytes(&Device::Cpu);
}

#[test]
fn every_rule_decays_what_decays() {
    decay::every_rule_decays_what_decays(&Device::Cpu);
}

#[test]
fn settings_that_make_no_step_are_refused() {
    let nothing = Parameters::new(vec![]);
    let refused = |rule, what: &str| {
        let error = Optimizer::new(rule, &nothing).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let adam = |betas, eps| Adam {
        betas,
        eps,
        ..Adam::default()
    };
    refused(
        Rule::Adam(adam((1.0, 0.9), 1e-8)),
        "betas must be in [0, 1), got 1",
    );
    refused(Rule::Adam(adam((0.9, 0.9), 0.0)), "eps must be more than 0");
    let nesterov = Sgd {
        nesterov: true,
        ..Sgd::default()
    };
    refused(Rule::Sgd(nesterov), "nesterov");
    let muon = Muon {
        ns_steps: 0,
        ..Muon::default()
    };
    refused(Rule::Muon(muon), "ns_steps");
}

/// The rates of `schedule` as the library has them.
fn courses(library: &str, name: &str, schedule: Schedule) {
    courses_after(0, library, name, schedule);
}

/// The rates of `schedule` as the library has them after some steps.
fn courses_after(steps: usize, library: &str, name: &str, schedule: Schedule) {
    let text = std::fs::read_to_string(file(&format!("{library}.json"))).unwrap();
    let all: HashMap<String, Vec<f64>> = serde_json::from_str(&text).unwrap();
    for (i, want) in all[name].iter().skip(steps).enumerate() {
        let got = schedule.learning_rate(i + 1);
        let off = (got - want).abs();
        assert!(
            off < 1e-8,
            "{library} {name}, step {}: {got}, {want}",
            i + 1
        );
    }
}

#[test]
fn schedules_of_transformers() {
    let schedule = |decay| Schedule {
        decay,
        ..Schedule::constant(RATE)
    };
    let (end, steps) = (0.0, 20);
    courses("torch", "linear", schedule(Decay::Linear { end, steps }));
    courses("torch", "cosine", schedule(Decay::Cosine { end, steps }));
}

#[test]
fn schedules_of_mlx() {
    let schedule = |warmup, decay| Schedule {
        peak: RATE,
        warmup,
        decay,
    };
    // mlx-lm stays at the peak for one step more.
    let warmup = |from, rise| Warmup {
        from,
        rise,
        steps: rise + 1,
    };
    let none = Warmup::over(0, RATE);
    let cosine = Decay::Cosine {
        end: 1e-4,
        steps: 15,
    };
    courses("mlx", "cosine", schedule(warmup(1e-3, 5), cosine));
    let linear = Decay::Linear {
        end: 1e-3,
        steps: 12,
    };
    courses("mlx", "linear", schedule(none, linear));
    let exponential = Decay::Exponential { factor: 0.9 };
    courses("mlx", "exponential", schedule(warmup(0.0, 3), exponential));
    let step = Decay::Steps {
        factor: 0.5,
        every: 4,
    };
    courses("mlx", "step", schedule(none, step));
}

#[test]
fn a_warm_up_rises_in_equal_parts() {
    let schedule = Schedule {
        warmup: Warmup::over(4, 1.0),
        ..Schedule::constant(1.0)
    };
    let rates = [1, 2, 4, 5, 6].map(|step| schedule.learning_rate(step));
    for (got, want) in rates.iter().zip([0.2, 0.4, 0.8, 1.0, 1.0]) {
        assert!((got - want).abs() < 1e-12, "{got}, {want}");
    }
}

/// Rates of transformers, which begins at 0: a warm-up from 0, or ours without the first step of one that is longer by a step.
#[test]
fn warm_ups_of_transformers() {
    let schedule = |warmup, decay| Schedule {
        peak: RATE,
        warmup,
        decay,
    };
    let from_zero = Warmup {
        from: 0.0,
        ..Warmup::over(5, RATE)
    };
    let (end, steps) = (0.0, 15);
    let constant = schedule(from_zero, Decay::Constant);
    courses("torch", "constant_warmup", constant);
    let cosine = schedule(from_zero, Decay::Cosine { end, steps });
    courses("torch", "cosine_warmup", cosine);
    let ours = schedule(Warmup::over(5, RATE), Decay::Constant);
    courses_after(1, "torch", "constant_warmup_longer", ours);
}
