//! Which engine is chosen.

use std::sync::Arc;

use candle_core::DType;
use metal_candle_mps::order::{Key, LitmusRounds, Strategy};
use metal_candle_mps::plan::{Engine, Gemm, Plan, Reject, View};
use metal_candle_mps::policy::{
    Bucket, Calibration, Caps, Cell, Choice, Micros, Policy, ProductShape, Reason, RowsCell,
    Storage,
};

use crate::layouts::Layout;

fn caps(architecture: &str) -> Caps {
    Caps {
        architecture: architecture.into(),
        ..Caps::interpreter()
    }
}

pub fn key() -> Key {
    Key::new(
        "applegpu_g15s",
        "Apple M3 Max",
        "24G84",
        Strategy::SameBuffer,
    )
}

/// A million multiplications in a millisecond, and half of that by MPS.
pub fn cell(engine: Engine, dtype: DType, log2: [u32; 3]) -> Cell {
    let products = f64::from(1 << log2.iter().sum::<u32>());
    let steel = products / 1e6 * 1e3;
    let bucket = Bucket {
        dtype,
        weight: None,
        storage: Storage::Nn,
        log2,
    };
    Cell {
        engine,
        bucket,
        sizes: None,
        micros: Micros([steel, steel / 2.0, steel / 100.0]),
    }
}

pub fn calibration() -> Calibration {
    let cells = [DType::F32, DType::F16, DType::BF16].map(|dtype| {
        [Engine::NdArray, Engine::Matrix].map(|engine| cell(engine, dtype, [7, 7, 7]))
    });
    Calibration {
        key: key(),
        litmus: LitmusRounds {
            rounds: 200,
            failures: 0,
        },
        overhead_micros: 30.0,
        cells: cells.concat(),
        softmax: vec![RowsCell {
            dtype: F32,
            log2: [10, 12],
            micros: Micros([2_000.0, 1_000.0, 20.0]),
        }],
    }
}

/// Measured, ordered and M3: MPS wins.
fn policy() -> Policy {
    Policy {
        caps: caps("applegpu_g15s").into(),
        calibration: Some(Arc::new(calibration())),
    }
}

fn choose(policy: &Policy, dtype: DType, [m, n, k]: [usize; 3], beta: f64) -> Choice {
    let view = |dims: [usize; 2]| Layout::contiguous(2).view(dtype, &dims);
    let (left, right, result) = (view([m, k]), view([k, n]), view([m, n]));
    policy.choose(&Gemm {
        beta,
        ..Gemm::new(&left, &right, &result)
    })
}

const F32: DType = DType::F32;
const SIZES: [usize; 3] = [128, 192, 200];

fn reason(change: fn(&mut Policy)) -> Reason {
    let mut policy = policy();
    change(&mut policy);
    let choice = choose(&policy, F32, SIZES, 0.0);
    let mps = matches!(choice.reason, Reason::Faster { .. });
    assert_eq!(choice.engine.is_mps(), mps, "{choice:?}");
    choice.reason
}

#[test]
fn mps_is_chosen_where_it_was_measured_to_win() {
    let choice = choose(&policy(), F32, SIZES, 0.0);
    assert_eq!(
        choice,
        Choice {
            engine: Engine::NdArray,
            reason: Reason::Faster { gain: 0.5 }
        }
    );
    assert_eq!(choose(&policy(), F32, SIZES, 1.0).engine, Engine::Matrix);
}

#[test]
fn without_measurements_it_never_is() {
    let policy = Policy::uncalibrated(caps("applegpu_g17s"));
    for dtype in [F32, DType::F16, DType::BF16] {
        for size in [16, 128, 4096] {
            let choice = choose(&policy, dtype, [size, size, 16], 0.0);
            assert_eq!(
                (choice.engine, choice.reason),
                (Engine::Steel, Reason::Uncalibrated)
            );
        }
    }
}

#[test]
fn every_doubt_speaks_for_candle() {
    assert_eq!(
        reason(|p| Arc::make_mut(&mut p.caps).mps = false),
        Reason::NoMps
    );
    assert_eq!(reason(|p| p.calibration = None), Reason::Uncalibrated);
    let strategy = Strategy::SameBuffer;
    for litmus in [(200, 1), (0, 0)] {
        let (rounds, failures) = litmus;
        let litmus = LitmusRounds { rounds, failures };
        let calibration = Calibration {
            litmus,
            ..calibration()
        };
        let failed = with(calibration);
        assert_eq!(
            choose(&failed, F32, SIZES, 0.0).reason,
            Reason::Litmus { strategy }
        );
    }
}

fn with(calibration: Calibration) -> Policy {
    Policy {
        calibration: Some(Arc::new(calibration)),
        ..policy()
    }
}

fn with_cells(change: fn(&mut Cell)) -> Reason {
    let mut calibration = calibration();
    calibration.cells.iter_mut().for_each(change);
    choose(&with(calibration), F32, SIZES, 0.0).reason
}

#[test]
fn a_gain_exceeds_noise_and_overhead() {
    assert_eq!(
        with_cells(|c| c.micros.0[1] = c.micros.0[0]),
        Reason::NoGain { gain: 0.0 }
    );
    assert!(matches!(
        with_cells(|c| c.micros.0[1] = c.micros.0[0] * 0.951),
        Reason::NoGain { .. }
    ));
    assert!(matches!(
        with_cells(|c| c.micros.0[1] = c.micros.0[0] * 0.94),
        Reason::Faster { .. }
    ));
    assert!(matches!(
        with_cells(|c| c.micros.0[2] = c.micros.0[0] * 0.26),
        Reason::NoGain { .. }
    ));
    let overhead = |overhead_micros| {
        let calibration = Calibration {
            overhead_micros,
            ..calibration()
        };
        choose(&with(calibration), F32, SIZES, 0.0).reason
    };
    // 4.9 ms, of which half is saved.
    assert!(matches!(overhead(1_200.0), Reason::Faster { .. }));
    assert!(matches!(overhead(1_250.0), Reason::Overhead { .. }));
}

#[test]
fn sizes_that_mps_is_not_for() {
    let reason = |sizes| choose(&policy(), F32, sizes, 0.0).reason;
    assert_eq!(reason([15, 128, 128]), Reason::FewRowsOrColumns);
    assert_eq!(reason([128, 15, 128]), Reason::FewRowsOrColumns);
    assert_eq!(reason([1, 128, 128]), Reason::Vector);
    assert_eq!(reason([128, 1, 128]), Reason::Vector);
    assert_eq!(reason([128, 128, 256]), Reason::NotMeasured);
    assert_eq!(reason([128, 127, 128]), Reason::NotMeasured);
}

#[test]
fn work_has_to_be_long_enough() {
    let slower = |architecture, strategy, dtype| {
        let mut calibration = calibration();
        calibration.key.strategy = strategy;
        for cell in &mut calibration.cells {
            cell.micros = Micros([500.0, 250.0, 1.0]);
        }
        let policy = Policy {
            caps: caps(architecture).into(),
            ..with(calibration)
        };
        choose(&policy, dtype, [128, 128, 128], 0.0).reason
    };
    let (same, fence) = (Strategy::SameBuffer, Strategy::FenceBridge);
    let short = |reason| matches!(reason, Reason::Short { .. });
    assert!(!short(slower("applegpu_g17s", same, DType::F16)));
    assert!(short(slower("applegpu_g17s", same, F32)));
    assert!(short(slower("applegpu_g17s", fence, DType::F16)));
    assert!(short(slower("applegpu_g16s", same, DType::F16)));
}

#[test]
fn bfloat16_is_slow_on_m1_and_unknown_to_older_systems() {
    let choose = |change: fn(&mut Caps), beta| {
        let mut policy = policy();
        change(Arc::make_mut(&mut policy.caps));
        choose(&policy, DType::BF16, SIZES, beta).reason
    };
    assert!(matches!(choose(|_| {}, 0.0), Reason::Faster { .. }));
    assert_eq!(
        choose(|c| c.architecture = "applegpu_g13s".into(), 0.0),
        Reason::SlowBf16
    );
    assert_eq!(
        choose(|c| c.architecture = "unknown".into(), 0.0),
        Reason::SlowBf16
    );
    assert_eq!(choose(|c| c.bf16 = false, 0.0), Reason::SlowBf16);
    assert_eq!(choose(|_| {}, 1.0), Reason::SlowBf16);
    assert_eq!(choose(|c| c.ndarray = false, 0.0), Reason::SlowBf16);
}

#[test]
fn what_an_engine_rejects_goes_to_candle() {
    let strided = |dims, strides: [usize; 2]| View::new(F32, 0, &[dims, dims], &strides, 1 << 24);
    let left = strided(128, [130, 1]).expect("in bounds");
    let right = strided(128, [128, 1]).expect("in bounds");
    let result = strided(128, [128, 1]).expect("in bounds");
    let gemm = Gemm::new(&left, &right, &result);
    let (plan, choice) = policy().plan(&gemm, None).expect("candle takes it");
    assert!(matches!(plan, Plan::Steel(_)));
    let rejected = Reason::Rejected {
        engine: Engine::NdArray,
        reject: gemm_reject(&gemm),
    };
    assert_eq!(
        choice,
        Choice {
            engine: Engine::Steel,
            reason: rejected
        }
    );
    let requested = policy().plan(&gemm, Some(Engine::NdArray));
    assert!(matches!(requested, Err(Reject::NotPacked { .. })));
}

fn gemm_reject(gemm: &Gemm<'_>) -> Reject {
    policy()
        .plan(gemm, Some(Engine::NdArray))
        .expect_err("rows with gaps")
}

#[test]
fn an_engine_that_is_not_there_is_refused() {
    let mut policy = policy();
    Arc::make_mut(&mut policy.caps).ndarray = false;
    let view = Layout::contiguous(2).view(F32, &[4, 4]);
    let gemm = Gemm::new(&view, &view, &view);
    let engine = Engine::NdArray;
    assert_eq!(
        policy.plan(&gemm, Some(engine)).err(),
        Some(Reject::Unavailable { engine })
    );
    assert!(policy.plan(&gemm, Some(Engine::Matrix)).is_ok());
}

#[test]
fn buckets_tell_products_apart() {
    let view = |dims: &[usize], strides: &[usize]| View::new(F32, 0, dims, strides, 1 << 24);
    let bucket = |left: [usize; 2], right: [usize; 2]| {
        let left = view(&[2, 64, 64], &[4096, left[0], left[1]]).expect("in bounds");
        let right = view(&[2, 64, 100], &[6400, right[0], right[1]]).expect("in bounds");
        let result = view(&[2, 64, 100], &[6400, 100, 1]).expect("in bounds");
        Bucket::of(&Gemm::new(&left, &right, &result))
    };
    let expected = |storage| {
        Some(Bucket {
            dtype: F32,
            weight: None,
            storage,
            log2: [7, 6, 6],
        })
    };
    assert_eq!(bucket([64, 1], [100, 1]), expected(Storage::Nn));
    assert_eq!(bucket([64, 1], [1, 64]), expected(Storage::Nt));
    assert_eq!(bucket([1, 64], [100, 1]), expected(Storage::Tn));
    assert_eq!(bucket([1, 64], [1, 64]), expected(Storage::Tt));
}

#[test]
fn softmax_is_ours_but_where_mps_was_measured_to_win() {
    let with_micros = |micros, sizes| {
        let mut calibration = calibration();
        calibration.softmax[0].micros = Micros(micros);
        with(calibration).softmax(F32, sizes)
    };
    let measured = |sizes| with_micros([2_000.0, 1_000.0, 20.0], sizes);
    assert_eq!(measured([1024, 4096]), Ok(0.5));
    assert_eq!(measured([2047, 8191]), Ok(0.5));
    assert_eq!(measured([1023, 4096]), Err(Reason::NotMeasured));
    assert_eq!(measured([1024, 8192]), Err(Reason::NotMeasured));
    assert_eq!(measured([0, 4096]), Err(Reason::NotMeasured));
    let by = |micros| with_micros(micros, [1024, 4096]).err();
    assert!(matches!(
        by([999.0, 100.0, 1.0]),
        Some(Reason::Short { .. })
    ));
    assert!(matches!(
        by([2_000.0, 1_950.0, 1.0]),
        Some(Reason::NoGain { .. })
    ));
    assert!(matches!(
        by([2_000.0, 1_000.0, 600.0]),
        Some(Reason::NoGain { .. })
    ));
    // A gain of 59 us for an overhead of 30.
    assert!(matches!(
        by([1_010.0, 951.0, 1.0]),
        Some(Reason::Overhead { .. })
    ));
    let half = policy().softmax(DType::F16, [1024, 4096]);
    assert_eq!(half, Err(Reason::NotMeasured));
    let nothing = Policy::uncalibrated(caps("applegpu_g15s"));
    let reason = nothing.softmax(F32, [1024, 4096]);
    assert_eq!(reason, Err(Reason::Uncalibrated));
}

/// A measurement of a model's weight: as much as MPS saves of a millisecond for each million of multiplications.
fn of_weight(sizes: [usize; 3], gain: f64) -> Cell {
    let bucket = Bucket {
        log2: sizes.map(usize::ilog2),
        ..cell(Engine::NdArray, F32, [0; 3]).bucket
    };
    let steel = sizes.iter().map(|&size| size as f64).product::<f64>() / 1e3;
    Cell {
        engine: Engine::NdArray,
        bucket,
        sizes: Some(sizes),
        micros: Micros([steel, steel * (1.0 - gain), 0.0]),
    }
}

#[test]
fn a_weight_that_was_measured_speaks_before_its_neighbours() {
    let cells = vec![
        cell(Engine::NdArray, F32, [7, 7, 7]),
        of_weight([200, 190, 170], 0.25),
        of_weight([200, 130, 140], 0.0),
    ];
    let policy = with(Calibration {
        cells,
        ..calibration()
    });
    let reason = |sizes| choose(&policy, F32, sizes, 0.0).reason;
    // Of as many tokens up to a factor of 2.
    for m in [128, 200, 255] {
        assert_eq!(reason([m, 190, 170]), Reason::Faster { gain: 0.25 });
        assert_eq!(reason([m, 130, 140]), Reason::NoGain { gain: 0.0 });
        assert_eq!(reason([m, 131, 140]), Reason::Faster { gain: 0.5 });
    }
    assert_eq!(reason([256, 190, 170]), Reason::NotMeasured);
}

#[test]
fn the_time_of_a_weight_is_that_of_its_own_sizes() {
    // 0.9 ms of 100 x 100 x 90 multiplications: for 112 rows a millisecond and some.
    let of_weight = of_weight([100, 100, 90], 0.5);
    let policy = with(Calibration {
        cells: vec![of_weight],
        ..calibration()
    });
    let reason = |m| choose(&policy, F32, [m, 100, 90], 0.0).reason;
    assert!(matches!(reason(110), Reason::Short { .. }));
    assert_eq!(reason(112), Reason::Faster { gain: 0.5 });
}

#[test]
fn a_weight_of_16_bits_is_cast_where_that_was_measured_to_win() {
    let shape = ProductShape {
        dtype: F32,
        weight: DType::BF16,
        storage: Storage::Nt,
        sizes: [200, 190, 170],
    };
    let measured = |weight, storage| {
        let mut cell = of_weight(shape.sizes, 0.25);
        (cell.bucket.weight, cell.bucket.storage) = (weight, storage);
        with(Calibration {
            cells: vec![cell],
            ..calibration()
        })
    };
    let policy = measured(Some(DType::BF16), Storage::Nt);
    assert_eq!(policy.widened(&shape), Ok(0.25));
    let f16 = ProductShape {
        weight: DType::F16,
        ..shape
    };
    assert_eq!(policy.widened(&f16), Err(Reason::NotMeasured));
    for other in [(None, Storage::Nt), (Some(DType::BF16), Storage::Nn)] {
        let policy = measured(other.0, other.1);
        assert_eq!(
            policy.widened(&shape),
            Err(Reason::NotMeasured),
            "{other:?}"
        );
    }
    let few = ProductShape {
        sizes: [15, 190, 170],
        ..shape
    };
    assert_eq!(policy.widened(&few), Err(Reason::FewRowsOrColumns));
    let large = ProductShape {
        sizes: [200, 8193, 8192],
        ..shape
    };
    let bytes = 4 * 8193 * 8192;
    assert_eq!(policy.widened(&large), Err(Reason::Wide { bytes }));
    // Products of one type are of their own measurements.
    let nn = measured(Some(DType::BF16), Storage::Nn);
    assert_eq!(
        choose(&nn, F32, shape.sizes, 0.0).reason,
        Reason::NotMeasured
    );
    assert_eq!(
        Policy::uncalibrated(caps("applegpu_g15s")).widened(&shape),
        Err(Reason::Uncalibrated)
    );
}
