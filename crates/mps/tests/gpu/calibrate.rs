//! Measuring a machine: what is found, and that products are chosen by it afterwards.

use std::time::Duration;

use candle_core::{D, DType, Result, Tensor};
use metal_candle_mps::apple;
use metal_candle_mps::metal::{Effort, Progress, calibrate, policy};
use metal_candle_mps::order::Strategy;
use metal_candle_mps::plan::Engine;
use metal_candle_mps::policy::{Bucket, Storage};

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

#[test]
fn a_machine_is_measured_and_used_by_that() {
    let _guard = Guard::new();
    let device = metal();
    let mut told = vec![];
    let measured = calibrate(&device, &small(), &softmax, &mut |progress| {
        told.push(progress);
    });
    let measured = measured.expect("a GPU that works");
    assert_eq!(told[0], Progress::Litmus(Strategy::FenceBridge));
    // Four rounds from one thread, and four from four.
    assert_eq!((measured.litmus.rounds, measured.litmus.failures), (8, 0));
    let bucket = Bucket {
        dtype: DType::F32,
        storage: Storage::Tn,
        log2: [4, 5, 4],
    };
    let cell = measured
        .cell(Engine::NdArray, &bucket)
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
    let measured = calibrate(&device, &effort, &softmax, &mut |progress| {
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
    let measured = calibrate(&device, &effort, &softmax, &mut |_| ()).expect("a GPU that works");
    assert!(measured.litmus.passed());
    assert_eq!((measured.cells, measured.softmax), (vec![], vec![]));
}
