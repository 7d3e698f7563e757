//! What is kept, for how long, and what an error or a panic leaves behind.

use candle_core::{DType, MetalDevice};
#[cfg(soft_metal)]
use candle_core::{Device, Tensor};
use metal_candle_mps::apple::{self, Error, Order};
use metal_candle_mps::plan::{Engine, Gemm, Plan, Slot, View};

use crate::engines::{host, plan};
use crate::layouts::Layout;
use crate::support::{Guard, Uploaded, assert_same, interpret, metal, orders, proof, run};

fn square(width: usize) -> View {
    Layout::contiguous(2).view(DType::F32, &[width, width])
}

fn product_of(engine: Engine, view: &View, alpha: f64) -> Plan {
    let gemm = Gemm {
        alpha,
        ..Gemm::new(view, view, view)
    };
    plan(engine, &gemm).expect("it is plain")
}

/// A product of each engine of MPS is right.
fn works(device: &MetalDevice) {
    let (view, proof) = (square(16), proof(device));
    for engine in [Engine::NdArray, Engine::Matrix] {
        let plan = product_of(engine, &view, 1.0);
        let host = host([&view; 3], 0.0, 5);
        for order in orders(&proof) {
            let got = run(device, &plan, &host, &order);
            assert_same(
                &plan,
                &view,
                &got,
                &interpret(&plan, host.clone()),
                "after all",
            );
        }
    }
}

#[test]
fn devices_come_and_go() {
    let _guard = Guard::new();
    for _ in 0..3 {
        works(&metal());
    }
    let (first, second) = (metal(), metal());
    works(&first);
    works(&second);
    drop(first);
    works(&second);
}

/// Nothing is kept for a device that has gone, once another call looks.
#[cfg(soft_metal)]
#[test]
fn nothing_is_left_of_a_device_that_was_dropped() {
    let _guard = Guard::new();
    let count = || {
        soft_metal::live()
            .iter()
            .map(|(_, count)| count)
            .sum::<isize>()
    };
    let before = count();
    objc2::rc::autoreleasepool(|_| works(&metal()));
    soft_metal::drain();
    apple::release_unused();
    assert!(
        soft_metal::live()
            .iter()
            .all(|(class, _)| !class.starts_with("MPS")),
        "{:?}",
        soft_metal::live()
    );
    assert!(
        count() <= before + 1,
        "the device itself: {:?}",
        soft_metal::live()
    );
}

#[test]
fn buffers_that_a_plan_does_not_fit_are_errors() {
    let _guard = Guard::new();
    let device = metal();
    for engine in [Engine::NdArray, Engine::Matrix] {
        let plan = product_of(engine, &square(16), 1.0);
        let short = Uploaded::new(&device, &host([&square(15); 3], 0.0, 1));
        let error = apple::encode(&device, &plan, &short.buffers(), &Order::BLOCKING);
        assert!(
            matches!(
                error,
                Err(Error::Short {
                    slot: Slot::Left,
                    needed: 1024,
                    len: 900
                })
            ),
            "{error:?}"
        );
        let mut missing = short.buffers();
        missing.retain(|(slot, _)| *slot != Slot::Right);
        let plan = product_of(engine, &square(15), 1.0);
        let error = apple::encode(&device, &plan, &missing, &Order::BLOCKING);
        assert!(
            matches!(error, Err(Error::Missing { slot: Slot::Right })),
            "{error:?}"
        );
    }
    works(&device);
}

/// Software Metal panics where Apple's would abort: while objects are made, and while they encode.
#[cfg(soft_metal)]
#[test]
fn a_panic_inside_leaves_candle_usable() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let guard = soft_metal::Guard::new();
    let device = metal();
    let (view, proof) = (square(16), proof(&device));
    let break_it: [fn(&mut Plan); 3] = [
        |plan| {
            if let Plan::Matrix(plan) = plan {
                plan.calls[0][0].row_bytes = 8;
            }
        },
        |plan| {
            if let Plan::Matrix(plan) = plan {
                plan.calls[0][0].rows = 8;
            }
        },
        |plan| {
            if let Plan::NdArray(plan) = plan {
                plan.calls[0][2].columns = 8;
            }
        },
    ];
    for order in orders(&proof) {
        for (engine, break_it) in [Engine::Matrix, Engine::Matrix, Engine::NdArray]
            .into_iter()
            .zip(break_it)
        {
            let mut plan = product_of(engine, &view, 1.0);
            break_it(&mut plan);
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                run(&device, &plan, &host([&view; 3], 0.0, 1), &order)
            }));
            assert!(outcome.is_err(), "{plan:?}");
            let ones =
                Tensor::ones((4, 4), DType::F32, &Device::Metal(device.clone())).expect("a tensor");
            let sum = ones
                .sum_all()
                .and_then(|sum| sum.to_scalar::<f32>())
                .expect("candle works");
            assert_eq!(sum, 16.0);
            works(&device);
        }
    }
    assert_eq!(
        guard
            .problems()
            .iter()
            .filter(|p| !p.contains("more than at the start"))
            .count(),
        0
    );
    drop(device);
    apple::release_unused();
}

/// Every kind of object is given back: as many live after a thousand calls as after some.
#[cfg(soft_metal)]
#[test]
fn a_thousand_calls_leave_what_one_leaves() {
    use objc2::rc::autoreleasepool;
    let _guard = Guard::new();
    let device = metal();
    let (view, proof) = (square(4), proof(&device));
    let plans = [Engine::NdArray, Engine::Matrix, Engine::Steel]
        .map(|engine| product_of(engine, &view, 1.0));
    let (orders, uploaded) = (
        orders(&proof),
        Uploaded::new(&device, &host([&view; 3], 0.0, 1)),
    );
    let calls = |count: usize| {
        autoreleasepool(|_| {
            for i in 0..count {
                let order = &orders[i / 3 % orders.len()];
                apple::encode(&device, &plans[i % 3], &uploaded.buffers(), order).expect("encoded");
            }
            apple::sync(&device).expect("nothing failed");
            soft_metal::drain();
        });
        soft_metal::live()
    };
    let kernels = || soft_metal::census()["MPSMatrixMultiplication"].total;
    let (first, made) = (calls(12), kernels());
    assert_eq!(calls(1000), first);
    assert_eq!(kernels(), made, "kernels are made once");
}

/// What was encoded before is committed where a product makes it too much.
#[cfg(soft_metal)]
#[test]
fn a_command_buffer_is_committed_before_it_holds_too_much() {
    use metal_candle_mps::order::BUFFER_FLOPS;
    let _guard = Guard::new();
    let device = metal();
    let view = square(16);
    let plan = product_of(Engine::Steel, &view, 1.0);
    let uploaded = Uploaded::new(&device, &host([&view; 3], 0.0, 1));
    let buffers = || soft_metal::census()["SoftCommandBuffer"].total;
    let mut committed = vec![];
    // 16 * 16 sums of 16 products each.
    for flops in [BUFFER_FLOPS, 0, BUFFER_FLOPS - 4 * 8192, 0, 0] {
        apple::charge(&device, flops).expect("committed");
        apple::sync(&device).expect("nothing failed");
        let before = buffers();
        apple::encode(&device, &plan, &uploaded.buffers(), &Order::BLOCKING).expect("encoded");
        committed.push(buffers() - before);
    }
    apple::sync(&device).expect("nothing failed");
    assert_eq!(committed, [1, 0, 0, 0, 1]);
}
