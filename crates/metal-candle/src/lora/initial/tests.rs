//! Decompositions against what defines them, and a weight whose singular values are known.

use super::{Factors, Init};
use crate::lora::{Kind, Method, Placement};
use crate::random::normal;
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::Weight;

fn random(name: &str, dims: (usize, usize)) -> Tensor {
    let values = normal(3, name, dims.0 * dims.1, 1.0);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn place(init: Init, r: usize, dims: (usize, usize)) -> Placement {
    Placement {
        path: "model.layers.0.mlp.up_proj".into(),
        kind: Kind::Linear,
        method: Method::Lora,
        init,
        r,
        scale: 0.7,
        dropout: 0.0,
        in_features: dims.1,
        out_features: dims.0,
        tokens: vec![],
        tied_to: None,
    }
}

fn factors(init: Init, weight: &Tensor, r: usize) -> Factors {
    let place = place(init, r, weight.dims2().unwrap());
    let weight = Weight::from(weight.clone());
    init.factors(&weight, &place, 0, true).unwrap().unwrap()
}

fn largest(difference: Tensor) -> f64 {
    let all = difference.abs().unwrap().max_all().unwrap();
    all.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// A weight of orthonormal vectors and these singular values, and the part of it that the first `r` make.
fn known(dims: (usize, usize), values: &[f64], r: usize) -> (Tensor, Tensor) {
    let vectors = |name: &str, n: usize| {
        let t = random(name, (values.len(), n))
            .to_dtype(DType::F64)
            .unwrap();
        super::vectors::orthonormal_rows(&t).unwrap()
    };
    let (u, v) = (vectors("u", dims.0), vectors("v", dims.1));
    let sum = |n: usize| {
        let s = Tensor::new(&values[..n], &Device::Cpu).unwrap();
        let first = |t: &Tensor| t.narrow(0, 0, n).unwrap();
        let u = first(&u).broadcast_mul(&s.reshape((n, 1)).unwrap());
        u.unwrap().t().unwrap().matmul(&first(&v)).unwrap()
    };
    (sum(values.len()), sum(r))
}

#[test]
fn pissa_takes_the_largest_singular_values() {
    let values: Vec<f64> = (0..60).map(|i| 9.0 * 0.9f64.powi(i)).collect();
    for dims in [(60, 90), (90, 60), (200, 150)] {
        let (weight, part) = known(dims, &values, 4);
        let found = factors(Init::Pissa, &weight, 4);
        assert!(found.is_exact());
        let product = (found.b.matmul(&found.a).unwrap() * 0.7).unwrap();
        assert!(largest((product - part).unwrap()) < 1e-6, "{dims:?}");
        // Each value is shared evenly.
        let squares = |t: &Tensor, dim| t.sqr().unwrap().sum(dim).unwrap();
        let uneven = (squares(&found.a, 1) - squares(&found.b, 0)).unwrap();
        assert!(largest(uneven) < 1e-9);
    }
}

#[test]
fn rounds_come_nearer() {
    let values: Vec<f64> = (0..120).map(|i| 9.0 * 0.97f64.powi(i)).collect();
    let (weight, part) = known((120, 130), &values, 4);
    let error = |rounds| {
        let found = factors(Init::PissaNiter(rounds), &weight, 4);
        let product = (found.b.matmul(&found.a).unwrap() * 0.7).unwrap();
        largest((product - &part).unwrap())
    };
    let errors = [1, 4, 16].map(error);
    assert!(
        errors[0] > 3.0 * errors[1] && errors[1] > 3.0 * errors[2],
        "{errors:?}"
    );
}

/// Which of two equal values is meant cannot be told.
#[test]
fn equal_values_are_not_exact() {
    let (weight, _) = known((60, 60), &[3.0, 2.0, 2.0, 1.0], 2);
    assert!(!factors(Init::Pissa, &weight, 2).is_exact());
    assert!(factors(Init::Pissa, &weight, 3).is_exact());
}

#[test]
fn olora_takes_what_the_first_columns_span() {
    for dims in [(9, 30), (30, 9), (9, 9)] {
        let weight = random("w", dims);
        for r in [1, 4, 9] {
            let found = factors(Init::Olora, &weight, r);
            let unit = found.b.t().unwrap().matmul(&found.b).unwrap();
            let eye = Tensor::eye(r, DType::F64, &Device::Cpu).unwrap();
            assert!(largest((unit - eye).unwrap()) < 1e-12);
            let product = found.b.matmul(&found.a).unwrap();
            let same = |t: &Tensor| t.narrow(1, 0, r).unwrap().to_dtype(DType::F64).unwrap();
            assert!(largest((same(&product) - same(&weight)).unwrap()) < 1e-6);
            // R is triangular.
            let below = (1..r).flat_map(|i| (0..i).map(move |j| (i, j)));
            for (i, j) in below {
                let x: f64 = found.a.get(i).unwrap().get(j).unwrap().to_scalar().unwrap();
                assert!(x.abs() < 1e-6, "{x}");
            }
        }
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    for init in [
        Init::Lora,
        Init::Eva,
        Init::Pissa,
        Init::PissaNiter(16),
        Init::Olora,
    ] {
        assert_eq!(Init::of_name(&init.name()), Some(init));
    }
    for other in ["Eva", "loftq", "pissa_niter_", "pissa_niter_-1", "Pissa"] {
        assert_eq!(Init::of_name(other), None);
    }
}
