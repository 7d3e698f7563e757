//! MPS work between candle's own operations on the same tensors.

use std::thread;
use std::time::Duration;

use candle_core::op::BackpropOp;
use candle_core::{DType, Device, MetalDevice, MetalStorage, Storage, Tensor};
use metal_candle_mps::apple::{self, Buffers, Effort, Error, Order};
use metal_candle_mps::order::{Refusal, Strategy};
use metal_candle_mps::plan::{Engine, Gemm, MatrixSoftMax, Slot, View};

use crate::engines::plan;
use crate::support::{Guard, STRATEGIES, metal, orders, proof};

const WIDTH: usize = 48;

/// `left * right` by MPS, in a new buffer of candle's pool.
fn multiply(
    device: &MetalDevice,
    engine: Engine,
    order: &Order,
    left: &Tensor,
    right: &Tensor,
) -> Tensor {
    with_operands(device, [left, right], |buffers, view| {
        let gemm = Gemm::new(view, view, view);
        let plan = plan(engine, &gemm).expect("it is plain");
        apple::encode(device, &plan, buffers, order).expect("it can be encoded");
    })
}

fn soft_max(device: &MetalDevice, order: &Order, source: &Tensor) -> Tensor {
    with_operands(device, [source, source], |buffers, view| {
        let plan = MatrixSoftMax::plan(view, view).expect("it is plain");
        let buffers = [(Slot::Source, buffers[0].1), buffers[2]];
        apple::encode_softmax(device, &plan, &buffers, order).expect("it can be encoded");
    })
}

fn with_operands(
    device: &MetalDevice,
    operands: [&Tensor; 2],
    encode: impl FnOnce(&Buffers<'_>, &View),
) -> Tensor {
    let count = WIDTH * WIDTH;
    let result = device
        .new_buffer_builder()
        .with_size_for(count, DType::F32)
        .build()
        .expect("a buffer");
    let [left, right] = operands.map(Tensor::storage_and_layout);
    let (Storage::Metal(a), Storage::Metal(b)) = (&*left.0, &*right.0) else {
        panic!("not on Metal")
    };
    let view = View::new(DType::F32, 0, &[WIDTH, WIDTH], &[WIDTH, 1], count * 4).expect("a square");
    let buffers = [
        (Slot::Left, a.buffer()),
        (Slot::Right, b.buffer()),
        (Slot::Result, &*result),
    ];
    encode(&buffers, &view);
    drop((left, right));
    let storage = MetalStorage::new(result, device.clone(), count, DType::F32);
    Tensor::from_storage(
        Storage::Metal(storage),
        (WIDTH, WIDTH),
        BackpropOp::none(),
        false,
    )
}

/// Steps of candle and MPS in turns; every result depends on all before it, and each lets go of
/// memory that the next takes.
fn chain(device: &MetalDevice, engine: Engine, order: &Order, seed: f64) -> Vec<f32> {
    let metal = Device::Metal(device.clone());
    let weight = (Tensor::ones((WIDTH, WIDTH), DType::F32, &metal).expect("ones")
        * (1.0 / WIDTH as f64))
        .expect("made");
    let mut x = (&weight * seed).expect("made");
    for _ in 0..4 {
        let product = multiply(device, engine, order, &x, &weight);
        // A copy in a pass of its own, right after MPS.
        let read = product
            .get(0)
            .and_then(|row| row.to_vec1::<f32>())
            .expect("read");
        let sum = (product + &x).expect("added");
        assert!(read.iter().all(|value| *value == read[0]), "{read:?}");
        x = sum
            .matmul(&weight)
            .expect("multiplied")
            .affine(0.5, 1.0)
            .expect("scaled");
    }
    let x = x
        .broadcast_add(&soft_max(device, order, &x))
        .expect("added");
    x.flatten_all().expect("flat").to_vec1().expect("read")
}

/// All elements are equal at every step.
fn expected(seed: f64) -> f32 {
    let weight = 1.0 / WIDTH as f64;
    let mut x = weight * seed;
    for _ in 0..4 {
        x = (x * weight * WIDTH as f64 + x) * 0.5 + 1.0;
    }
    (x + weight) as f32
}

fn check(device: &MetalDevice, rounds: usize, seed: f64) {
    let proof = proof(device);
    for round in 0..rounds {
        for order in orders(&proof) {
            for engine in [Engine::NdArray, Engine::Matrix, Engine::Steel] {
                let seed = seed + round as f64;
                let (got, expected) = (chain(device, engine, &order, seed), expected(seed));
                let right = got.iter().all(|x| (x - expected).abs() < 1e-4);
                assert!(
                    right,
                    "{engine} {:?}: {} {expected}",
                    order.strategy, got[0]
                );
            }
        }
    }
}

#[test]
fn candle_and_mps_in_turns_from_one_thread() {
    let _guard = Guard::new();
    check(&metal(), 4, 1.0);
}

#[test]
fn candle_and_mps_in_turns_from_four_threads() {
    let _guard = Guard::new();
    let device = metal();
    thread::scope(|scope| {
        for thread in 0..4 {
            let device = &device;
            scope.spawn(move || apple::pooled(|| check(device, 2, 10.0 * thread as f64)));
        }
    });
}

#[test]
fn the_litmus_test_passes_and_allows_the_bridge() {
    let _guard = Guard::new();
    let device = metal();
    let effort = match cfg!(soft_metal) {
        true => Effort {
            rounds: 12,
            width: 32,
            timeout: Duration::from_secs(120),
        },
        false => Effort::default(),
    };
    for &strategy in STRATEGIES {
        let litmus = apple::litmus(&device, strategy, &effort).expect("it runs");
        assert_eq!(
            (litmus.rounds.rounds, litmus.rounds.failures),
            (2 * effort.rounds, 0),
            "{strategy}"
        );
        let order = Order {
            strategy,
            litmus: Some(litmus.clone()),
        };
        let got = chain(&device, Engine::NdArray, &order, 1.0);
        assert!((got[0] - expected(1.0)).abs() < 1e-4);
    }
}

#[test]
fn strategies_that_are_not_allowed_are_refused() {
    let _guard = Guard::new();
    let device = metal();
    let refused = |strategy| {
        let ones =
            Tensor::ones((WIDTH, WIDTH), DType::F32, &Device::Metal(device.clone())).expect("ones");
        let mut outcome = Ok(());
        with_operands(&device, [&ones, &ones], |buffers, view| {
            let plan = plan(Engine::Matrix, &Gemm::new(view, view, view)).expect("it is plain");
            let litmus = None;
            outcome = apple::encode(&device, &plan, buffers, &Order { strategy, litmus });
        });
        match outcome {
            Err(Error::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused(Strategy::FenceBridge),
        Refusal::Unproven {
            strategy: Strategy::FenceBridge
        }
    );
    if !cfg!(metal_candle_same_buffer) {
        assert_eq!(refused(Strategy::SameBuffer), Refusal::NotBuilt);
    }
}
