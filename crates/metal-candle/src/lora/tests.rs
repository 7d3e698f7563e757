//! Layers with adapters against the formulas, over f64 with candle's gradients.

use super::{
    AdapterSet, Context, Embedding, Init, Kind, Linear, Method, Mode, Placement, Plan, Share,
};
use crate::random::{name_stream, normal};
use candle_core::{D, DType, Device, Tensor, Var};
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::{Dropout, Weight, mix_seed};
use std::sync::Arc;

const PATH: &str = "model.layers.0.mlp.up_proj";
const N: usize = 7;
const K: usize = 64;
const R: usize = 3;
const SEED: u64 = 5;
const METHODS: [Method; 2] = [Method::Lora, Method::Dora];
const ALL: [Method; 3] = Method::ADAPTERS;

fn random(name: &str, dims: &[usize]) -> Tensor {
    let values = normal(1, name, dims.iter().product(), 0.5);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn layers() -> [Linear; 3] {
    let weight = random("w", &[N, K]);
    let packed = Affine::quantize(&weight, 4, 32).unwrap();
    let half = weight.to_dtype(DType::BF16).unwrap();
    let weights: [Weight; 3] = [weight.into(), half.into(), packed.into()];
    weights.map(|weight| Linear::new(PATH, weight, Some(random("bias", &[N]))))
}

fn place(method: Method, dropout: f64) -> Placement {
    Placement {
        path: PATH.into(),
        kind: Kind::Linear,
        method,
        init: Init::Lora,
        r: R,
        scale: 0.7,
        dropout,
        in_features: K,
        out_features: N,
        tokens: vec![],
        tied_to: None,
    }
}

fn fresh(method: Method, dropout: f64, layer: &Linear) -> AdapterSet {
    let placements = vec![place(method, dropout)];
    AdapterSet::fresh(&Plan { placements }, [layer], 0).unwrap()
}

/// An adapter that has been trained.
fn trained(method: Method, dropout: f64, layer: &Linear) -> Arc<AdapterSet> {
    trained_at(&place(method, dropout), layer)
}

fn trained_at(place: &Placement, layer: &Linear) -> Arc<AdapterSet> {
    let (placements, method) = (vec![place.clone()], place.method);
    let set = AdapterSet::fresh(&Plan { placements }, [layer], 0).unwrap();
    for (name, var) in set.parameters() {
        let change = random(&format!("{name} {method:?}"), var.dims());
        var.set(&(var.as_detached_tensor() + change).unwrap())
            .unwrap();
    }
    Arc::new(set)
}

fn forward(layer: &Linear, x: &Tensor, mode: Mode, set: &Arc<AdapterSet>) -> Tensor {
    let context = Context::new(mode, Some(set.clone()));
    layer.forward(x, &context).unwrap()
}

fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.dims(), b.dims(), "{what}");
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let difference = (wide(a) - wide(b)).unwrap().abs().unwrap().max_all();
    let difference: f64 = difference.unwrap().to_scalar().unwrap();
    assert!(difference < tolerance, "{what}: {difference}");
}

/// The formulas of PEFT. `parameters` are A, B and for DoRA the magnitude; `mask` has the factors of
/// dropout.
fn truth(layer: &Linear, x: &Tensor, mask: &Tensor, parameters: &[Var]) -> Tensor {
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let weight = wide(&layer.weight().dense().unwrap());
    let bias = wide(layer.bias().unwrap());
    let product = |x: &Tensor, w: &Tensor| x.broadcast_matmul(&w.t().unwrap()).unwrap();
    let (a, b) = (&parameters[0], &parameters[1]);
    let kept = (x * mask).unwrap();
    let update = (product(&product(&kept, a), b) * 0.7).unwrap();
    let base = product(x, &weight).broadcast_add(&bias).unwrap();
    let Some(magnitude) = parameters.get(2) else {
        return (base + update).unwrap();
    };
    let sum = (&weight + (b.detach().matmul(&a.detach()).unwrap() * 0.7).unwrap()).unwrap();
    let lengths = sum.sqr().unwrap().sum(1).unwrap().sqrt().unwrap();
    let factor = (magnitude.as_tensor() / lengths).unwrap();
    let less_one = (&factor - 1.0).unwrap();
    let base = (base + product(&kept, &weight).broadcast_mul(&less_one).unwrap()).unwrap();
    (base + update.broadcast_mul(&factor).unwrap()).unwrap()
}

/// Factors that the layer draws.
fn mask(dropout: f64, x: &Tensor) -> Tensor {
    let seed = mix_seed(SEED, name_stream(PATH));
    let dropout = Dropout::new(dropout, seed).unwrap();
    dropout.mask(x.shape(), DType::F64, x.device()).unwrap()
}

#[test]
fn layers_and_their_gradients_are_those_of_the_formulas() {
    for method in METHODS {
        for dropout in [0.0, 0.4] {
            for layer in layers() {
                check(&place(method, dropout), &layer, truth);
            }
        }
    }
    for layer in layers() {
        check(&place(Method::Loha, 0.0), &layer, loha_truth);
    }
}

/// `W1a`, `W1b`, `W2a`, `W2b`.
fn loha_truth(layer: &Linear, x: &Tensor, _: &Tensor, parameters: &[Var]) -> Tensor {
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let product = |i: usize| parameters[i].matmul(&parameters[i + 1]).unwrap();
    let update = ((product(0) * product(2)).unwrap() * 0.7).unwrap();
    let weight = (wide(&layer.weight().dense().unwrap()) + update).unwrap();
    let y = x.broadcast_matmul(&weight.t().unwrap()).unwrap();
    y.broadcast_add(&wide(layer.bias().unwrap())).unwrap()
}

/// What the factors began as is taken away, without dropout, over every weight.
#[test]
fn what_factors_began_as_is_taken_away() {
    for init in [Init::Pissa, Init::PissaNiter(3), Init::Olora] {
        for (layer, dropout) in layers().into_iter().zip([0.0, 0.4, 0.4]) {
            let place = Placement {
                init,
                ..place(Method::Lora, dropout)
            };
            let [a, b] = first_factors(&place, &layer);
            check(&place, &layer, |layer, x, mask, parameters| {
                let product = |x: &Tensor, w: &Tensor| x.broadcast_matmul(&w.t().unwrap()).unwrap();
                let first = (product(&product(x, &a), &b) * 0.7).unwrap();
                (truth(layer, x, mask, parameters) - first).unwrap()
            });
        }
    }
}

fn first_factors(place: &Placement, layer: &Linear) -> [Tensor; 2] {
    let placements = vec![place.clone()];
    let set = AdapterSet::fresh(&Plan { placements }, [layer], 0).unwrap();
    let wide = |var: &Var| var.detach().to_dtype(DType::F64).unwrap();
    let parameters = set.parameters();
    [wide(&parameters[0].1), wide(&parameters[1].1)]
}

fn check(
    place: &Placement,
    layer: &Linear,
    truth: impl Fn(&Linear, &Tensor, &Tensor, &[Var]) -> Tensor,
) {
    let (method, dropout) = (place.method, place.dropout);
    let what = format!(
        "{method:?} {:?} {dropout} {:?}",
        place.init,
        layer.weight().tensor().map(Tensor::dtype)
    );
    let set = trained_at(place, layer);
    let named = set.parameters();
    let wide = |t: &Tensor| Var::from_tensor(&t.detach().to_dtype(DType::F64).unwrap()).unwrap();
    let x = Var::from_tensor(&random("x", &[2, 5, K])).unwrap();
    let upstream = random("upstream", &[2, 5, N]);
    let ours = forward(layer, &x, Mode::training(SEED), &set);
    let (x64, parameters) = (wide(&x), named.iter().map(|(_, var)| wide(var)));
    let parameters = Vec::from_iter(parameters);
    let theirs = truth(layer, &x64, &mask(dropout, &x), &parameters);
    assert_near(&ours, &theirs, 1e-5, &what);

    let ours = (ours * &upstream)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let upstream = upstream.to_dtype(DType::F64).unwrap();
    let theirs = (theirs * upstream)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let pairs = named
        .iter()
        .map(|(name, var)| (name.as_str(), var))
        .chain([("x", &x)]);
    for ((name, ours_of), theirs_of) in pairs.zip(parameters.iter().chain([&x64])) {
        let (a, b) = (ours.get(ours_of), theirs.get(theirs_of));
        assert_near(a.unwrap(), b.unwrap(), 2e-5, &format!("{what} d {name}"));
    }
}

/// An embedding of `N` tokens and width `K`.
#[test]
fn embeddings_and_their_gradients_are_those_of_the_formulas() {
    for method in METHODS {
        for layer in layers() {
            check_embedding(method, layer.weight());
        }
    }
}

fn check_embedding(method: Method, weight: &Weight) {
    let embedding = Embedding::new(PATH, weight.clone());
    let placements = vec![Placement {
        kind: Kind::Embedding,
        in_features: N,
        out_features: K,
        ..place(method, 0.4)
    }];
    let set = AdapterSet::fresh(&Plan { placements }, [embedding.layer()], 0).unwrap();
    for (name, var) in set.parameters() {
        let change = random(&name, var.dims());
        let changed = var.as_detached_tensor() + change;
        var.set(&changed.unwrap()).unwrap();
    }
    let set = Arc::new(set);
    let ids = Tensor::new(&[[0u32, 3, 6], [3, 1, 0]], &Device::Cpu).unwrap();
    let upstream = random("upstream", &[2, 3, K]);
    let context = Context::new(Mode::training(SEED), Some(set.clone()));
    let ours = embedding.forward(&ids, &context).unwrap();
    let named = set.parameters();
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let parameters = named
        .iter()
        .map(|(_, var)| Var::from_tensor(&wide(&var.detach())).unwrap());
    let parameters = Vec::from_iter(parameters);
    let theirs = embedding_truth(&wide(&weight.dense().unwrap()), &ids, &parameters);
    let what = format!("{method:?} {:?}", weight.tensor().map(Tensor::dtype));
    assert_near(&ours, &theirs, 1e-5, &what);
    let frozen = Arc::new(set.frozen([embedding.layer()]).unwrap());
    let frozen = embedding.forward(&ids, &Context::inference(Some(frozen)));
    assert_near(&frozen.unwrap(), &ours, 1e-6, &what);

    let backward = |y: Tensor, dy: Tensor| (y * dy).unwrap().sum_all().unwrap().backward().unwrap();
    let (ours, theirs) = (
        backward(ours, upstream.clone()),
        backward(theirs, wide(&upstream)),
    );
    for ((name, var), parameter) in named.iter().zip(&parameters) {
        let (a, b) = (ours.get(var), theirs.get(parameter));
        assert_near(a.unwrap(), b.unwrap(), 2e-5, &format!("{what} d {name}"));
    }
}

fn embedding_truth(weight: &Tensor, ids: &Tensor, parameters: &[Var]) -> Tensor {
    let (a, b) = (&parameters[0], &parameters[1]);
    let ids = ids.flatten_all().unwrap();
    let columns = a
        .t()
        .unwrap()
        .contiguous()
        .unwrap()
        .index_select(&ids, 0)
        .unwrap();
    let update = (columns.matmul(&b.t().unwrap()).unwrap() * 0.7).unwrap();
    let rows = (weight.index_select(&ids, 0).unwrap() + update).unwrap();
    let rows = match parameters.get(2) {
        None => rows,
        Some(magnitude) => {
            let delta = b.detach().matmul(&a.detach()).unwrap().t().unwrap();
            let sum = (weight + (delta * 0.7).unwrap()).unwrap();
            let lengths = sum.sqr().unwrap().sum(0).unwrap().sqrt().unwrap();
            rows.broadcast_mul(&(magnitude.as_tensor() / lengths).unwrap())
                .unwrap()
        }
    };
    rows.reshape((2, 3, K)).unwrap()
}

#[test]
fn a_fresh_adapter_changes_nothing() {
    let x = random("x", &[1, 4, K]);
    for method in ALL {
        for layer in layers() {
            let alone = layer.forward(&x, &Context::default()).unwrap();
            let set = Arc::new(fresh(method, 0.4, &layer));
            let with = forward(&layer, &x, Mode::INFERENCE, &set);
            assert_near(&with, &alone, 1e-5, &format!("{method:?}"));
            assert!(
                !with.track_op(),
                "{method:?} records a graph outside training"
            );
        }
    }
}

#[test]
fn a_frozen_set_and_a_fused_weight_compute_the_same() {
    let x = random("x", &[3, K]);
    let [mut layer, ..] = layers();
    let places = ALL.map(|method| place(method, 0.4)).into_iter();
    let pissa = Placement {
        init: Init::Pissa,
        ..place(Method::Lora, 0.4)
    };
    for place in places.chain([pissa]) {
        let set = trained_at(&place, &layer);
        let with = forward(&layer, &x, Mode::INFERENCE, &set);
        let frozen = Arc::new(set.frozen([&layer]).unwrap());
        assert_near(
            &forward(&layer, &x, Mode::INFERENCE, &frozen),
            &with,
            1e-6,
            "frozen",
        );
        let before = layer.clone();
        set.fuse_into([(PATH.into(), layer.weight_mut())]).unwrap();
        let fused = layer.forward(&x, &Context::default()).unwrap();
        assert_near(&fused, &with, 2e-5, "fused");
        layer = before;
    }
}

#[test]
fn every_share_of_a_pass_has_its_own_adapter() {
    let x = random("x", &[1, 6, K]);
    for layer in layers() {
        let pissa = Placement {
            init: Init::Pissa,
            ..place(Method::Lora, 0.4)
        };
        let sets = [
            (2, None),
            (1, Some(trained(Method::Lora, 0.4, &layer))),
            (1, Some(trained(Method::Dora, 0.4, &layer))),
            (1, Some(trained(Method::Loha, 0.0, &layer))),
            (1, Some(trained_at(&pissa, &layer))),
        ];
        let shares = sets.clone().map(|(n_tokens, set)| Share { n_tokens, set });
        let context = Context::shared(shares.to_vec());
        let all = layer.forward(&x, &context).unwrap();
        let mut first = 0;
        for (n, set) in sets {
            let alone = Context::inference(set);
            let alone = layer
                .forward(&x.narrow(1, first, n).unwrap(), &alone)
                .unwrap();
            let part = all.narrow(1, first, n).unwrap();
            assert_near(&part, &alone, 1e-5, &format!("tokens from {first}"));
            first += n;
        }
    }
}

#[test]
fn a_row_of_zeros_stays_zero_and_finite() {
    let weight = random("w", &[N, K]);
    let zeros = Tensor::zeros((1, K), DType::F32, &Device::Cpu).unwrap();
    let weight = Tensor::cat(&[&zeros, &weight.narrow(0, 1, N - 1).unwrap()], 0).unwrap();
    let layer = Linear::new(PATH, weight, None);
    let set = Arc::new(fresh(Method::Dora, 0.0, &layer));
    let x = random("x", &[2, K]);
    let y = forward(&layer, &x, Mode::training(0), &set);
    let largest: f32 = y
        .get_on_dim(D::Minus1, 0)
        .unwrap()
        .abs()
        .unwrap()
        .max_all()
        .unwrap()
        .to_scalar()
        .unwrap();
    assert_eq!(largest, 0.0);
    let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for (name, var) in set.parameters() {
        let sum: f32 = gradients
            .get(&var)
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar()
            .unwrap();
        assert!(sum.is_finite(), "{name}");
    }
}

#[test]
fn a_plan_for_another_model_is_refused() {
    let [layer, ..] = layers();
    let mut placements = vec![place(Method::Lora, 0.0)];
    placements[0].path = "model.layers.9.mlp.up_proj".into();
    let error = AdapterSet::fresh(&Plan { placements }, [&layer], 0).unwrap_err();
    assert!(error.to_string().contains("layers.9"), "{error}");
}
