//! Optimizers as PyTorch, MLX and bitsandbytes step (`scripts/golden/optimizers.py`), on any device.

use super::{golden, max_difference, tensors};
use candle_core::{Device, Tensor, Var};
use metal_candle::models::Segment;
use metal_candle::train::{
    Adafactor, Adam, Adam8bit, Gradients, Muon, Optimizer, Parameter, Parameters, Rule, Sgd,
};
use std::collections::HashMap;
use std::path::PathBuf;

pub const RATE: f64 = 0.01;
const STEPS: usize = 10;

pub fn file(name: &str) -> PathBuf {
    golden("optimizers").join(name)
}

/// The gradient of `scripts/golden/optimizers.py`, and four times as much.
fn gradient(dims: &[usize], step: usize, device: &Device) -> Option<Tensor> {
    let n = dims.iter().product::<usize>();
    let numbers = (1..=n).map(|i| (i as f64 * (0.3 + step as f64)).sin() as f32);
    let numbers: Vec<f32> = numbers.map(|x| x * (0.1 * step as f64) as f32).collect();
    let numbers = Tensor::from_vec(numbers, dims, &Device::Cpu).unwrap();
    Some((numbers * 4.0).unwrap().to_device(device).unwrap())
}

/// A parameter of these numbers.
fn parameter(name: &str, numbers: &Tensor, device: &Device) -> Parameter {
    let numbers = numbers.to_device(device).unwrap();
    Parameter {
        name: name.to_string(),
        var: Var::from_tensor(&numbers).unwrap(),
        segment: Segment::Head,
        rate: 1.0,
        decay: 1.0,
    }
}

/// Parameters of a case, and their courses `(1 + STEPS, ..)`.
fn start(
    tensors: &HashMap<String, Tensor>,
    case: &str,
    device: &Device,
) -> (Parameters, Vec<(&'static str, Tensor)>) {
    let names = ["wide", "tall", "vector"];
    let courses = names.map(|name| (name, tensors[&format!("{case}.{name}")].clone()));
    let all = courses
        .iter()
        .map(|(name, course)| parameter(name, &course.get(0).unwrap(), device));
    (Parameters::new(all.collect()), courses.to_vec())
}

/// Ten steps of which the fifth goes on from a saved state.
fn follows(library: &str, case: &str, rule: Rule, device: &Device) {
    let tensors = tensors(&file(&format!("{library}.safetensors")));
    let (parameters, courses) = start(&tensors, case, device);
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    for step in 1..=STEPS {
        let gradients = courses
            .iter()
            .map(|(_, course)| gradient(&course.dims()[1..], step, device));
        let gradients = Gradients::new(gradients.collect());
        optimizer.step(&parameters, &gradients, RATE, 0.25).unwrap();
        for (parameter, (name, course)) in parameters.as_slice().iter().zip(&courses) {
            let off = max_difference(&parameter.var, &course.get(step).unwrap());
            assert!(off < 2e-6, "{library} {case}: {name}, step {step}: {off}");
        }
        if step == 5 {
            optimizer = read_again(&optimizer, rule, &parameters, device).0;
        }
    }
}

/// The optimizer as its file has it, and the tensors of the file.
fn read_again(
    optimizer: &Optimizer,
    rule: Rule,
    parameters: &Parameters,
    device: &Device,
) -> (Optimizer, HashMap<String, Tensor>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    optimizer.save(&path, parameters).unwrap();
    let read = Optimizer::load(rule, &path, parameters, device).unwrap();
    (read, tensors(&path))
}

pub fn rules_of_pytorch(device: &Device) {
    let adam = Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: true,
    };
    follows("torch", "adamw", Rule::Adam(adam), device);
    let adam = Adam {
        weight_decay: 0.0,
        ..Adam::default()
    };
    follows("torch", "adam", Rule::Adam(adam), device);
    let plain = Sgd {
        weight_decay: 0.1,
        ..Sgd::default()
    };
    follows("torch", "sgd", Rule::Sgd(plain), device);
    let momentum = Sgd {
        momentum: 0.9,
        ..Sgd::default()
    };
    follows("torch", "momentum", Rule::Sgd(momentum), device);
    let nesterov = Sgd {
        weight_decay: 0.1,
        nesterov: true,
        ..momentum
    };
    follows("torch", "nesterov", Rule::Sgd(nesterov), device);
}

pub fn adam_of_mlx(device: &Device) {
    let plain = Adam {
        weight_decay: 0.0,
        bias_correction: false,
        ..Adam::default()
    };
    follows("mlx", "adam", Rule::Adam(plain), device);
    let decaying = Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: false,
    };
    follows("mlx", "adamw", Rule::Adam(decaying), device);
    follows("mlx", "corrected", Rule::default(), device);
}

pub fn momentum_of_mlx(device: &Device) {
    let sgd = Sgd {
        momentum: 0.9,
        dampening: 0.3,
        weight_decay: 0.1,
        nesterov: false,
    };
    follows("mlx", "sgd", Rule::Sgd(sgd), device);
    follows("mlx", "muon", Rule::Muon(Muon::default()), device);
    let plain = Muon {
        momentum: 0.8,
        weight_decay: 0.0,
        nesterov: false,
        ns_steps: 3,
        transposed: false,
    };
    follows("mlx", "muon_plain", Rule::Muon(plain), device);
}

pub fn adafactor_of_mlx(device: &Device) {
    let relative = Adafactor {
        scale_parameter: true,
        relative_step: true,
        ..Adafactor::default()
    };
    follows("mlx", "adafactor", Rule::Adafactor(relative), device);
    let warm = Adafactor {
        warmup_init: true,
        ..relative
    };
    follows("mlx", "adafactor_warm", Rule::Adafactor(warm), device);
    let own_rate = Adafactor {
        beta_1: Some(0.9),
        weight_decay: 0.1,
        clip_threshold: 0.5,
        ..Adafactor::default()
    };
    follows("mlx", "adafactor_rate", Rule::Adafactor(own_rate), device);
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

pub fn moments_in_eight_bits_are_those_of_bitsandbytes(device: &Device) {
    let golden = tensors(&file("bnb.safetensors"));
    let shapes = [
        ("matrix", vec![33, 130]),
        ("line", vec![4097]),
        ("small", vec![63, 65]),
    ];
    let all = shapes
        .iter()
        .map(|(name, dims)| parameter(name, &first_values(dims), device));
    let parameters = Parameters::new(all.collect());
    let rule = Rule::Adam8bit(Adam8bit(Adam {
        betas: (0.8, 0.95),
        eps: 1e-6,
        weight_decay: 0.1,
        bias_correction: true,
    }));
    let mut optimizer = Optimizer::new(rule, &parameters).unwrap();
    // Two bytes a value and two scales a block; eight bytes a value of the small one.
    assert_eq!(
        optimizer.state_bytes(),
        2 * (4290 + 4097) + 2 * 4 * (17 + 17) + 8 * 4095
    );
    let mut saved = HashMap::new();
    for step in 1..=STEPS {
        let gradients = shapes.iter().map(|(_, dims)| gradient(dims, step, device));
        let gradients = Gradients::new(gradients.collect());
        optimizer.step(&parameters, &gradients, RATE, 0.25).unwrap();
        for parameter in parameters.as_slice() {
            let want = golden[&parameter.name].get(step).unwrap();
            let off = max_difference(&some_of(&parameter.var), &want);
            assert!(off < 2e-5, "{}, step {step}: {off}", parameter.name);
        }
        (optimizer, saved) = read_again(&optimizer, rule, &parameters, device);
    }
    for name in ["matrix", "line"] {
        for (ours, theirs) in [("first", "1"), ("second", "2")] {
            let (codes, scales) = (format!("{name}.{ours}"), format!("{name}.{ours}_absmax"));
            let off = codes_off(&saved[&codes], &golden[&format!("{name}.state{theirs}")]);
            assert!(off < 10, "{codes}: {off} codes");
            let want = &golden[&format!("{name}.absmax{theirs}")];
            let off = max_difference(&saved[&scales], want);
            assert!(off < 1e-5, "{scales}: {off}");
        }
    }
    assert_eq!(saved["small.first"].dims(), [63, 65]);
}
