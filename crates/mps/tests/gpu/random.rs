//! A thousand random layouts, on every engine that takes them.

use std::collections::BTreeMap;
use std::thread;

use candle_core::{DType, MetalDevice};
use metal_candle_mps::apple::pooled;
use metal_candle_mps::plan::{Engine, Gemm, View};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::engines::{host, plan};
use crate::layouts::{Fastest, Layout, batch_dims, cases, layout, scalars};
use crate::support::{Guard, assert_same, interpret, metal, orders, proof, run};

#[derive(Debug, Clone)]
struct Case {
    views: [View; 3],
    scalars: (f64, f64),
    seed: u64,
}

/// Around the edges of a tile now and then.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 1..6usize, 1 => 15..18usize, 1 => 31..34usize]
}

/// Now and then all contiguous, which is all that `MPSNDArray` takes.
fn layouts(rank: usize) -> impl Strategy<Value = Layouts> {
    let contiguous = || Just(Layout::contiguous(rank));
    let mixed = |fastest, broadcast| prop_oneof![contiguous(), layout(rank, fastest, broadcast)];
    prop_oneof![
        1 => (contiguous(), contiguous(), contiguous()),
        3 => (
            mixed(Fastest::LastTwo, true),
            mixed(Fastest::LastTwo, true),
            mixed(Fastest::Last, false),
        ),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (2..5usize).prop_flat_map(|rank| {
        let sizes = (batch_dims(rank), size(), size(), size());
        let dtype = select(vec![DType::F32, DType::F16, DType::BF16]);
        (
            layouts(rank),
            sizes,
            dtype,
            select(vec![1, 8]),
            scalars(),
            0..1u64 << 32,
        )
            .prop_map(build)
    })
}

type Layouts = (Layout, Layout, Layout);
type Parts = (
    Layouts,
    (Vec<usize>, usize, usize, usize),
    DType,
    usize,
    (f64, f64),
    u64,
);

fn build((layouts, (batch, m, n, k), dtype, multiple, scalars, seed): Parts) -> Case {
    let view = |mut layout: Layout, matrix: [usize; 2]| {
        (layout.stride_multiple, layout.offset_multiple) = (multiple, multiple);
        layout.view(dtype, &[&batch[..], &matrix].concat())
    };
    let (left, right, result) = layouts;
    Case {
        views: [
            view(left, [m, k]),
            view(right, [k, n]),
            view(result, [m, n]),
        ],
        scalars,
        seed,
    }
}

/// How often each engine took a case.
fn check(device: &MetalDevice, count: u32) -> BTreeMap<String, usize> {
    let (mut runner, mut counts) = (TestRunner::new(cases(count)), BTreeMap::new());
    let proof = proof(device);
    let orders = orders(&proof);
    for round in 0..count {
        let case = case().new_tree(&mut runner).expect("a case").current();
        let [left, right, result] = &case.views;
        let (alpha, beta) = case.scalars;
        let gemm = Gemm {
            alpha,
            beta,
            ..Gemm::new(left, right, result)
        };
        for engine in [Engine::Steel, Engine::Gemv, Engine::NdArray, Engine::Matrix] {
            let Ok(plan) = plan(engine, &gemm) else {
                continue;
            };
            let host = host([left, right, result], beta, case.seed);
            let got = run(device, &plan, &host, &orders[round as usize % orders.len()]);
            assert_same(
                &plan,
                result,
                &got,
                &interpret(&plan, host),
                &format!("{case:?}"),
            );
            *counts.entry(engine.to_string()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_thousand_layouts_from_one_thread() {
    let _guard = Guard::new();
    let counts = check(&metal(), 1000);
    for engine in [Engine::Steel, Engine::Gemv, Engine::NdArray, Engine::Matrix] {
        assert!(counts[&engine.to_string()] >= 20, "{counts:?}");
    }
}

#[test]
fn layouts_from_four_threads() {
    let _guard = Guard::new();
    let device = metal();
    // A scope does not wait for a thread's own pool, which is emptied when the thread is gone.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| pooled(|| check(&device, 60)));
        }
    });
}
