//! Layers without a model, whose inputs are told apart and looked at by hand.

use super::{Eva, EvaSearch};
use crate::lora::{Context, Init, Kind, LayerInfo, Linear, LoraConfig, Targets};
use crate::random::normal;
use candle_core::{Device, Tensor};

const WIDTH: usize = 8;

fn layers() -> Vec<LayerInfo> {
    let layer = |name: &str| LayerInfo {
        path: format!("model.layers.0.{name}"),
        kind: Kind::Linear,
        block: Some(0),
        in_features: WIDTH,
        out_features: 5,
        tied_to: None,
    };
    ["a_proj", "b_proj", "c_proj"].map(layer).to_vec()
}

fn search(change: impl FnOnce(&mut LoraConfig)) -> EvaSearch {
    let mut config = LoraConfig {
        init: Init::Eva,
        r: 2,
        alpha: 4.0,
        ..LoraConfig::default()
    };
    change(&mut config);
    EvaSearch::new(&config, &layers()).unwrap()
}

fn linears() -> Vec<Linear> {
    let weight = Tensor::zeros((5, WIDTH), candle_core::DType::F32, &Device::Cpu).unwrap();
    let layer = |info: LayerInfo| Linear::new(&info.path, weight.clone(), None);
    layers().into_iter().map(layer).collect()
}

/// An input of 20 tokens, `(2, 10, K)`, of which a column is wider than the others.
fn input(name: &str, wide: usize) -> Tensor {
    let values = normal(1, name, 20 * WIDTH, 1.0).into_iter().enumerate();
    let values = values.map(|(i, x)| if i % WIDTH == wide { 50.0 * x } else { x });
    Tensor::from_vec(values.collect(), (2, 10, WIDTH), &Device::Cpu).unwrap()
}

/// Passes through all layers, of which the first two have one input.
fn look(search: &mut EvaSearch, n_batches: usize) {
    let inputs = [input("x", 3), input("y", 5)];
    let pass = |set| {
        let context = Context::inference(Some(set));
        for (layer, input) in linears().iter().zip([0, 0, 1]) {
            layer.forward(&inputs[input], &context).unwrap();
        }
    };
    pass(search.telling_apart());
    search.share().unwrap();
    let places: Vec<u32> = (0..20).collect();
    for _ in 0..n_batches {
        pass(search.listening(&places).unwrap());
        search.settle().unwrap();
    }
}

#[test]
fn of_layers_with_one_input_the_first_is_heard() {
    let mut search = search(|_| {});
    look(&mut search, 0);
    let set = search.listening(&[0]).unwrap();
    let heard = layers()
        .into_iter()
        .map(|layer| set.get(&layer.path).is_some());
    assert_eq!(heard.collect::<Vec<_>>(), [true, false, true]);
}

/// The first component of both inputs explains nearly all; of the others those of the first layer come first.
#[test]
fn ranks_and_alphas_go_into_patterns() {
    let mut search = search(|config| config.rank_pattern = vec![("c_proj".into(), 1)]);
    look(&mut search, 2);
    let start = search.start().unwrap();
    let total: usize = 2 + 2 + 1;
    let (min, max, n) = start.ranks();
    assert!(min >= 1 && max <= 4 && n == 3, "{:?}", start.ranks());
    let config = start.config;
    let rank = |path: &str| {
        let found = config.rank_pattern.iter().find(|(key, _)| key == path);
        found.map_or(config.r, |(_, r)| *r)
    };
    let ranks: Vec<usize> = layers().iter().map(|layer| rank(&layer.path)).collect();
    assert_eq!(ranks.iter().sum::<usize>(), total, "{ranks:?}");
    assert!(ranks[0] >= ranks[1], "{ranks:?}");
    for (path, alpha) in &config.alpha_pattern {
        let own = if path.ends_with("c_proj") { 4.0 } else { 2.0 };
        assert_eq!(*alpha, own * rank(path) as f64, "{path}");
    }
}

#[test]
fn what_is_settled_is_heard_no_more() {
    let mut search = search(|config| {
        config.eva = Eva {
            rho: 1.0,
            ..Eva::default()
        };
    });
    look(&mut search, 2);
    assert!(search.listening(&[0]).is_none());
    assert_eq!(search.n_settled(), (3, 3));
}

/// All variance is in one layer: the others have no adapter.
#[test]
fn a_layer_of_rank_0_is_no_target() {
    let mut search = search(|config| {
        config.r = 1;
        config.targets = Targets::Names(vec!["a_proj".into(), "c_proj".into()]);
    });
    let flat = Tensor::ones((1, 10, WIDTH), candle_core::DType::F32, &Device::Cpu).unwrap();
    let varied = input("x", 3);
    let pass = |set| {
        let context = Context::inference(Some(set));
        for (layer, x) in linears().iter().zip([&varied, &varied, &flat]) {
            layer.forward(x, &context).unwrap();
        }
    };
    pass(search.telling_apart());
    search.share().unwrap();
    pass(search.listening(&(0..10).collect::<Vec<u32>>()).unwrap());
    search.settle().unwrap();
    let config = search.start().unwrap().config;
    let only = vec!["model.layers.0.a_proj".to_string()];
    assert_eq!(config.targets, Targets::Names(only.clone()));
    assert_eq!(config.rank_pattern, [(only[0].clone(), 2)]);
    assert_eq!(config.alpha_pattern, [(only[0].clone(), 8.0)]);
}
