//! Optimizers and schedules against `golden/optimizers`, which PyTorch, bitsandbytes, transformers, MLX and mlx-lm
//! computed (`scripts/golden/optimizers.py`).
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use metal_candle::models::Segment;
use metal_candle::train::{
    Adafactor, Adam, Adam8bit, Decay, Gradients, Muon, Optimizer, Parameter, Parameters, Rule,
    Schedule, Sgd, Warmup,
};
use std::collections::HashMap;
use std::path::PathBuf;

const RATE: f64 = 0.01;
const STEPS: usize = 10;

fn golden(file: &str) -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/golden/optimizers").join(file)
}

/// The gradient of `scripts/golden/optimizers.py`.
fn gradient(dims: &[usize], step: usize) -> Tensor {
    let n = dims.iter().product::<usize>();
    let numbers = (1..=n).map(|i| (i as f64 * (0.3 + step as f64)).sin() as f32);
    let numbers: Vec<f32> = numbers.map(|x| x * (0.1 * step as f64) as f32).collect();
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

/// Parameters of a case, and their courses `(1 + STEPS, ..)`.
fn start(
    tensors: &HashMap<String, Tensor>,
    case: &str,
) -> (Parameters, Vec<(&'static str, Tensor)>) {
    let names = ["wide", "tall", "vector"];
    let courses = names.map(|name| (name, tensors[&format!("{case}.{name}")].clone()));
    let all = courses.iter().map(|(name, course)| Parameter {
        name: name.to_string(),
        var: Var::from_tensor(&course.get(0).unwrap()).unwrap(),
        segment: Segment::Head,
        rate: 1.0,
    });
    (Parameters::new(all.collect()), courses.to_vec())
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

/// Ten steps of which the fifth goes on from a saved state.
fn follows(library: &str, case: &str, rule: Rule) {
    let path = golden(&format!("{library}.safetensors"));
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let (parameters, courses) = start(&tensors, case);
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    for step in 1..=STEPS {
        let gradients = courses.iter().map(|(_, course)| {
            let scaled = gradient(&course.dims()[1..], step) * 4.0;
            Some(scaled.unwrap())
        });
        let gradients = Gradients::new(gradients.collect());
        optimizer.step(&parameters, &gradients, RATE, 0.25).unwrap();
        for (parameter, (name, course)) in parameters.as_slice().iter().zip(&courses) {
            let off = difference(&parameter.var, &course.get(step).unwrap());
            assert!(off < 2e-6, "{library} {case}: {name}, step {step}: {off}");
        }
        if step == 5 {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("state.safetensors");
            optimizer.save(&file, &parameters).unwrap();
            optimizer = Optimizer::load(rule, &file, &parameters, &Device::Cpu).unwrap();
        }
    }
}

#[test]
fn rules_of_pytorch() {
    let adam = Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: true,
    };
    follows("torch", "adamw", Rule::Adam(adam));
    let adam = Adam {
        weight_decay: 0.0,
        ..Adam::default()
    };
    follows("torch", "adam", Rule::Adam(adam));
    let plain = Sgd {
        weight_decay: 0.1,
        ..Sgd::default()
    };
    follows("torch", "sgd", Rule::Sgd(plain));
    let momentum = Sgd {
        momentum: 0.9,
        ..Sgd::default()
    };
    follows("torch", "momentum", Rule::Sgd(momentum));
    let nesterov = Sgd {
        weight_decay: 0.1,
        nesterov: true,
        ..momentum
    };
    follows("torch", "nesterov", Rule::Sgd(nesterov));
}

#[test]
fn adam_of_mlx() {
    let plain = Adam {
        weight_decay: 0.0,
        bias_correction: false,
        ..Adam::default()
    };
    follows("mlx", "adam", Rule::Adam(plain));
    let decaying = Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: false,
    };
    follows("mlx", "adamw", Rule::Adam(decaying));
    follows("mlx", "corrected", Rule::default());
}

#[test]
fn momentum_of_mlx() {
    let sgd = Sgd {
        momentum: 0.9,
        dampening: 0.3,
        weight_decay: 0.1,
        nesterov: false,
    };
    follows("mlx", "sgd", Rule::Sgd(sgd));
    follows("mlx", "muon", Rule::Muon(Muon::default()));
    let plain = Muon {
        momentum: 0.8,
        weight_decay: 0.0,
        nesterov: false,
        ns_steps: 3,
        transposed: false,
    };
    follows("mlx", "muon_plain", Rule::Muon(plain));
}

#[test]
fn adafactor_of_mlx() {
    let relative = Adafactor {
        scale_parameter: true,
        relative_step: true,
        ..Adafactor::default()
    };
    follows("mlx", "adafactor", Rule::Adafactor(relative));
    let warm = Adafactor {
        warmup_init: true,
        ..relative
    };
    follows("mlx", "adafactor_warm", Rule::Adafactor(warm));
    let own_rate = Adafactor {
        beta_1: Some(0.9),
        weight_decay: 0.1,
        clip_threshold: 0.5,
        ..Adafactor::default()
    };
    follows("mlx", "adafactor_rate", Rule::Adafactor(own_rate));
}

/// Numbers of the first `dims` of `scripts/golden/optimizers.py`.
fn first_values(dims: &[usize]) -> Tensor {
    let n = dims.iter().product::<usize>();
    let numbers: Vec<f32> = (1..=n).map(|i| (i as f64 * 0.7).sin() as f32).collect();
    Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap()
}

/// Every 61st element.
fn some_of(t: &Tensor) -> Tensor {
    let all = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let some: Vec<f32> = all.into_iter().step_by(61).collect();
    Tensor::new(some, &Device::Cpu).unwrap()
}

/// Codes that are one apart from those of `expected`: where rounding decides between two.
fn codes_off(got: &Tensor, expected: &Tensor) -> usize {
    let numbers = |t: &Tensor| t.to_vec1::<u8>().unwrap();
    let (got, expected) = (numbers(got), numbers(expected));
    assert_eq!(got.len(), expected.len());
    let pairs = got.iter().zip(&expected);
    let off: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    assert!(off.iter().all(|off| *off <= 1));
    off.iter().filter(|off| **off > 0).count()
}

#[test]
fn moments_in_eight_bits_are_those_of_bitsandbytes() {
    let golden = candle_core::safetensors::load(golden("bnb.safetensors"), &Device::Cpu).unwrap();
    let shapes = [
        ("matrix", vec![33, 130]),
        ("line", vec![4097]),
        ("small", vec![63, 65]),
    ];
    let all = shapes.iter().map(|(name, dims)| Parameter {
        name: name.to_string(),
        var: Var::from_tensor(&first_values(dims)).unwrap(),
        segment: Segment::Head,
        rate: 1.0,
    });
    let parameters = Parameters::new(all.collect());
    let rule = Rule::Adam8bit(Adam8bit(Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: true,
    }));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.safetensors");
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    // Two bytes a value and two scales a block; eight bytes a value of the small one.
    assert_eq!(
        optimizer.state_bytes(),
        2 * (4290 + 4097) + 2 * 4 * (17 + 17) + 8 * 4095
    );
    for step in 1..=STEPS {
        let gradients = shapes
            .iter()
            .map(|(_, dims)| Some((gradient(dims, step) * 4.0).unwrap()));
        let gradients = Gradients::new(gradients.collect());
        optimizer.step(&parameters, &gradients, RATE, 0.25).unwrap();
        for parameter in parameters.as_slice() {
            let want = golden[&parameter.name].get(step).unwrap();
            let off = difference(&some_of(&parameter.var), &want);
            assert!(off < 2e-5, "{}, step {step}: {off}", parameter.name);
        }
        optimizer.save(&file, &parameters).unwrap();
        optimizer = Optimizer::load(rule, &file, &parameters, &Device::Cpu).unwrap();
    }
    let saved = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    for name in ["matrix", "line"] {
        for (ours, theirs) in [("first", "1"), ("second", "2")] {
            let (codes, scales) = (format!("{name}.{ours}"), format!("{name}.{ours}_absmax"));
            let off = codes_off(&saved[&codes], &golden[&format!("{name}.state{theirs}")]);
            assert!(off < 10, "{codes}: {off} codes");
            let want = &golden[&format!("{name}.absmax{theirs}")];
            let off = difference(&saved[&scales], want);
            assert!(off < 1e-5, "{scales}: {off}");
        }
    }
    assert_eq!(saved["small.first"].dims(), [63, 65]);
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
    let text = std::fs::read_to_string(golden(&format!("{library}.json"))).unwrap();
    let all: HashMap<String, Vec<f64>> = serde_json::from_str(&text).unwrap();
    for (i, want) in all[name].iter().enumerate() {
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

#[test]
fn only_b_learns_faster_with_lora_plus() {
    let parameter = |name: &str| Parameter {
        name: name.into(),
        var: Var::from_tensor(&Tensor::new(&[1f32], &Device::Cpu).unwrap()).unwrap(),
        segment: Segment::Head,
        rate: 1.0,
    };
    let names = [
        "q_proj.lora_A.weight",
        "q_proj.lora_B.weight",
        "q_proj.lora_magnitude_vector",
    ];
    let parameters = Parameters::new(names.map(parameter).to_vec()).lora_plus(16.0);
    let one = || Some(Tensor::new(&[1f32], &Device::Cpu).unwrap());
    let gradients = Gradients::new(vec![one(), one(), one()]);
    let rule = Rule::Sgd(Sgd::default());
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    optimizer.step(&parameters, &gradients, 0.01, 1.0).unwrap();
    let values = parameters.as_slice().iter();
    let values = values.map(|p| p.var.to_vec1::<f32>().unwrap()[0]);
    for (got, want) in values.zip([0.99, 0.84, 0.99]) {
        assert!((got - want).abs() < 1e-6, "{got}, {want}");
    }
}
