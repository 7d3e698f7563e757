//! Every engine, in each kind of layout and type that it takes.

use candle_core::DType;
use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::steel::GpuSize;
use metal_candle_mps::plan::{
    Engine, Gemm, GemvPlan, MatrixMultiplication, NdArrayMultiplication, Plan, Reject, Slot,
    SteelPlan, View,
};

use crate::layouts::{Layout, buffer};
use crate::support::{Guard, assert_same, interpret, metal, orders, proof, run};

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

pub fn plan(engine: Engine, gemm: &Gemm<'_>) -> Result<Plan, Reject> {
    Ok(match engine {
        Engine::Steel => Plan::Steel(SteelPlan::plan(gemm, GpuSize::Small)?),
        Engine::Gemv => Plan::Gemv(GemvPlan::plan(gemm)?),
        Engine::NdArray => Plan::NdArray(NdArrayMultiplication::plan(gemm)?),
        Engine::Matrix => Plan::Matrix(MatrixMultiplication::plan(gemm)?),
    })
}

/// A product with a name, and the engines that must take it.
struct Case {
    name: &'static str,
    dims: [Vec<usize>; 3],
    layouts: [Layout; 3],
    scalars: (f64, f64),
    engines: &'static [Engine],
}

use Engine::{Gemv, Matrix, NdArray, Steel};

const ALL: &[Engine] = &[Steel, NdArray, Matrix];
const WITH_BETA: &[Engine] = &[Steel, Matrix];

/// Eight columns, so that rows of 16-bit floats are as far apart as MPS may want them.
fn cases() -> Vec<Case> {
    let packed = |rank| Layout::contiguous(rank);
    let turned = || Layout {
        order: vec![1, 0],
        ..packed(2)
    };
    let offset = || Layout {
        offset: 8,
        tail_bytes: 3,
        ..packed(2)
    };
    let wide = || Layout {
        gaps: vec![0, 8],
        ..packed(2)
    };
    let spread = || Layout {
        gaps: vec![0, 8, 0],
        ..packed(3)
    };
    // What the last tile reads past the end of an addend.
    let roomy = |rank| Layout {
        tail_bytes: 1 << 14,
        ..packed(rank)
    };
    let shared = || Layout {
        broadcast: vec![true, false, false],
        ..packed(3)
    };
    let one = |name, layouts, scalars, engines| {
        let dims = [vec![16, 24], vec![24, 8], vec![16, 8]];
        Case {
            name,
            dims,
            layouts,
            scalars,
            engines,
        }
    };
    let many = |name, layouts, scalars, engines| {
        let dims = [vec![3, 16, 24], vec![3, 24, 8], vec![3, 16, 8]];
        Case {
            name,
            dims,
            layouts,
            scalars,
            engines,
        }
    };
    let plain = [packed(2), packed(2), packed(2)];
    vec![
        one("plain", plain.clone(), (1.0, 0.0), ALL),
        one("scaled", plain.clone(), (-0.5, 0.0), ALL),
        one("scaled by another factor", plain.clone(), (0.25, 0.0), ALL),
        one(
            "added to the result",
            [packed(2), packed(2), roomy(2)],
            (2.0, 0.5),
            WITH_BETA,
        ),
        one(
            "left transposed",
            [turned(), packed(2), packed(2)],
            (1.0, 0.0),
            ALL,
        ),
        one(
            "right transposed",
            [packed(2), turned(), packed(2)],
            (1.0, 0.0),
            ALL,
        ),
        one(
            "both transposed",
            [turned(), turned(), packed(2)],
            (1.0, 0.0),
            ALL,
        ),
        one(
            "at an offset",
            [offset(), offset(), offset()],
            (1.0, 0.0),
            ALL,
        ),
        one(
            "parts of rows",
            [wide(), wide(), wide()],
            (1.0, 0.0),
            WITH_BETA,
        ),
        many(
            "batched",
            [packed(3), packed(3), packed(3)],
            (1.0, 0.0),
            ALL,
        ),
        many(
            "a batch with gaps",
            [spread(), spread(), roomy(3)],
            (1.0, 1.0),
            WITH_BETA,
        ),
        many(
            "a shared right factor",
            [packed(3), shared(), packed(3)],
            (1.0, 0.0),
            ALL,
        ),
        many(
            "a shared left factor",
            [shared(), packed(3), packed(3)],
            (1.0, 0.0),
            ALL,
        ),
        Case {
            name: "rows that end anywhere",
            dims: [vec![6, 5], vec![5, 3], vec![6, 3]],
            layouts: plain.clone(),
            scalars: (1.0, 0.0),
            engines: &[Steel, NdArray],
        },
        Case {
            name: "a matrix and a vector",
            dims: [vec![16, 24], vec![24, 1], vec![16, 1]],
            layouts: plain.clone(),
            scalars: (0.5, 0.0),
            engines: &[Gemv],
        },
        Case {
            name: "a vector and a matrix, added to the result",
            dims: [vec![1, 24], vec![24, 8], vec![1, 8]],
            layouts: plain,
            scalars: (0.5, -1.0),
            engines: &[Gemv],
        },
    ]
}

/// Buffers of a product; what a beta of 0 must not read is NaN.
pub fn host([left, right, result]: [&View; 3], beta: f64, seed: u64) -> Host {
    let mut host = Host::default();
    host.insert(Slot::Left, buffer(left, seed));
    host.insert(Slot::Right, buffer(right, seed + 1));
    let old = if beta == 0.0 {
        vec![0xff; result.buffer_len_bytes()]
    } else {
        buffer(result, seed + 2)
    };
    host.insert(Slot::Result, old);
    host
}

/// MPS has no product of bf16 matrices, and is given no rows of 16-bit floats off their alignment.
fn takes(engine: Engine, dtype: DType, inner: usize) -> bool {
    let unaligned = engine.is_mps() && dtype.size_in_bytes() == 2 && !inner.is_multiple_of(8);
    !(unaligned || engine == Matrix && dtype == DType::BF16)
}

#[test]
fn every_engine_gives_the_interpreters_answer() {
    let _guard = Guard::new();
    let device = metal();
    let proof = proof(&device);
    for case in cases() {
        for dtype in TYPES {
            let views: Vec<View> = case
                .layouts
                .iter()
                .zip(&case.dims)
                .map(|(layout, dims)| layout.view(dtype, dims))
                .collect();
            let [left, right, result] = [&views[0], &views[1], &views[2]];
            let (alpha, beta) = case.scalars;
            let gemm = Gemm {
                alpha,
                beta,
                ..Gemm::new(left, right, result)
            };
            for &engine in case
                .engines
                .iter()
                .filter(|&&engine| takes(engine, dtype, case.dims[0][1]))
            {
                let what = format!("{} {dtype:?} {engine}", case.name);
                let plan = plan(engine, &gemm).unwrap_or_else(|reject| panic!("{what}: {reject}"));
                let host = host([left, right, result], beta, 7);
                let expected = interpret(&plan, host.clone());
                for order in orders(&proof) {
                    let got = run(&device, &plan, &host, &order);
                    assert_same(&plan, result, &got, &expected, &what);
                }
            }
        }
    }
}

/// Two plans that differ in a factor alone, in turns: kernels are kept by all that is in them.
#[test]
fn kept_kernels_are_told_apart_by_their_factors() {
    let _guard = Guard::new();
    let device = metal();
    let proof = proof(&device);
    let square = Layout::contiguous(2).view(DType::F32, &[16, 16]);
    for round in 0..6 {
        let (alpha, beta) = [(1.0, 0.5), (2.0, 0.5), (2.0, -0.5)][round % 3];
        let gemm = Gemm {
            alpha,
            beta,
            ..Gemm::new(&square, &square, &square)
        };
        let plan = plan(Matrix, &gemm).expect("it is plain");
        let host = host([&square; 3], beta, round as u64);
        let got = run(&device, &plan, &host, &orders(&proof)[0]);
        assert_same(&plan, &square, &got, &interpret(&plan, host), "factors");
    }
}
