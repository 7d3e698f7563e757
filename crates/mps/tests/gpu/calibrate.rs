//! Measuring a machine: what is found, and that products are chosen by it afterwards.

use std::time::Duration;

use candle_core::{D, DType, Result, Tensor};
use metal_candle_mps::apple;
use metal_candle_mps::metal::{Effort, Own, Progress, calibrate, policy};
use metal_candle_mps::order::Strategy;
use metal_candle_mps::plan::Engine;
use metal_candle_mps::policy::{Bucket, Cell, Layer, ProductShape, Storage, Tokens, products};
use metal_candle_mps::tensor::MpsMatMul;

use crate::support::{Guard, metal};

/// Products of a few elements, which take no time.
fn small() -> Effort {
    Effort {
        strategies: Effort::default().strategies,
        litmus: apple::Effort {
            rounds: 4,
            width: 8,
            timeout: Duration::from_secs(60),
        },
        products: vec![],
        sizes: vec![[4, 5, 4]],
        softmax_sizes: vec![[2, 4]],
        repeats: 1,
        durations: [Duration::ZERO, Duration::from_secs(60)],
        budget: Duration::from_secs(600),
    }
}

fn softmax(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(DType::F32)?;
    let exp = wide.broadcast_sub(&wide.max_keepdim(D::Minus1)?)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?
        .to_dtype(x.dtype())
}

fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let weight = weight.to_dtype(x.dtype())?;
    x.mps_matmul(&weight).map_err(candle_core::Error::from)
}

const OWN: Own<'_> = Own {
    softmax: &softmax,
    product: &product,
};

#[test]
fn a_machine_is_measured_and_used_by_that() {
    let _guard = Guard::new();
    let device = metal();
    let mut told = vec![];
    let measured = calibrate(&device, &small(), OWN, &mut |progress| {
        told.push(progress);
    });
    let measured = measured.expect("a GPU that works");
    assert_eq!(told[0], Progress::Litmus(Strategy::FenceBridge));
    // Four rounds from one thread, and four from four.
    assert_eq!((measured.litmus.rounds, measured.litmus.failures), (8, 0));
    let bucket = Bucket {
        dtype: DType::F32,
        weight: None,
        storage: Storage::Tn,
        log2: [4, 5, 4],
    };
    let cell = measured
        .cell(Engine::NdArray, &bucket, [16, 32, 16])
        .expect("it is right");
    assert!(cell.micros.0[..2].iter().all(|&micros| micros > 0.0));
    let softmax: Vec<_> = measured.softmax.iter().map(|c| (c.dtype, c.log2)).collect();
    assert_eq!(softmax, [(DType::F32, [2, 4]), (DType::F16, [2, 4])]);
    let work = |what, done, of| Progress::Work { what, done, of };
    assert!(told.contains(&work("product", 8, 9)), "{told:?}");
    assert_eq!(told.last(), Some(&work("softmax", 1, 2)));
    assert_eq!(measured.key.strategy, Strategy::FenceBridge);
    let policy = policy(&device).expect("a context");
    assert_eq!(policy.calibration.as_deref(), Some(&measured));
}

#[test]
fn the_strategy_that_is_asked_for_is_measured() {
    let _guard = Guard::new();
    let device = metal();
    let effort = Effort {
        strategies: vec![Strategy::Blocking],
        ..small()
    };
    let mut told = vec![];
    let measured = calibrate(&device, &effort, OWN, &mut |progress| {
        told.push(progress);
    });
    let measured = measured.expect("a GPU that works");
    assert_eq!(measured.key.strategy, Strategy::Blocking);
    assert!(measured.litmus.passed() && !measured.cells.is_empty());
    assert_eq!(told[0], Progress::Litmus(Strategy::Blocking));
}

#[test]
fn what_takes_too_little_or_too_much_time_is_left_out() {
    let _guard = Guard::new();
    let device = metal();
    let long = Duration::from_secs(3600);
    let effort = Effort {
        durations: [long, 2 * long],
        ..small()
    };
    let measured = calibrate(&device, &effort, OWN, &mut |_| ()).expect("a GPU that works");
    assert!(measured.litmus.passed());
    assert_eq!((measured.cells, measured.softmax), (vec![], vec![]));
}

/// Products of a layer of 24 by 40 for one token, 3 and 20 of them.
fn of_a_layer(weight: DType, activations: DType) -> Effort {
    let layer = Layer {
        outputs: 24,
        inputs: 40,
        weight,
    };
    let tokens = Tokens {
        decoded: 1,
        prompt: 3,
        trained: 20,
    };
    Effort {
        products: products(&[layer], activations, tokens),
        sizes: vec![],
        softmax_sizes: vec![],
        ..small()
    }
}

#[test]
fn products_of_a_model_are_measured_in_its_dtypes() {
    let _guard = Guard::new();
    // On M1 MPS is not asked for bfloat16.
    #[cfg(soft_metal)]
    soft_metal::set_architecture("applegpu_g15s");
    let device = metal();
    let of_16_bits = [DType::F16, DType::BF16];
    let of_one = [DType::F32, DType::F16, DType::BF16].map(|dtype| (dtype, dtype));
    let of_two = of_16_bits.map(|weight| (weight, DType::F32));
    for (weight, activations) in of_one.into_iter().chain(of_two) {
        let effort = of_a_layer(weight, activations);
        let measured = calibrate(&device, &effort, OWN, &mut |_| ()).expect("a GPU that works");
        let found = |(cell, wanted): (&Cell, &ProductShape)| {
            cell.engine == Engine::NdArray
                && cell.sizes == Some(wanted.sizes)
                && Some(cell.bucket) == wanted.bucket()
                && cell.micros.0[..2].iter().all(|&micros| micros > 0.0)
        };
        let caps = apple::caps(&device).expect("a context");
        let wanted = effort.products.iter().filter(|it| it.can_be_mps(&caps));
        let wanted: Vec<_> = wanted.collect();
        assert_eq!(measured.cells.len(), wanted.len(), "{measured:?}");
        assert!(measured.cells.iter().zip(wanted).all(found), "{measured:?}");
        #[cfg(soft_metal)]
        assert_eq!(measured.cells.len(), 4);
    }
    #[cfg(soft_metal)]
    soft_metal::set_architecture("applegpu_g13g");
}

/// What is off by more than sums can be is not among the measurements.
#[test]
fn a_product_that_is_wrong_is_left_out() {
    let _guard = Guard::new();
    let device = metal();
    let wrong = |x: &Tensor, weight: &Tensor| product(x, weight)?.affine(1.02, 0.0);
    let own = Own {
        product: &wrong,
        ..OWN
    };
    let effort = of_a_layer(DType::BF16, DType::F32);
    let measured = calibrate(&device, &effort, own, &mut |_| ()).expect("a GPU that works");
    assert_eq!(measured.cells, []);
}
