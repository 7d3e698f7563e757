//! Every engine against the definition, over random layouts.

use std::collections::BTreeMap;

use candle_core::DType;
use metal_candle_mps::interp::Host;
use metal_candle_mps::plan::steel::GpuSize;
use metal_candle_mps::plan::{
    Engine, Gemm, GemvPlan, MatrixMultiplication, NdArrayMultiplication, Plan, Reject, Slot,
    SteelPlan, View,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use crate::layouts::{Fastest, Layout, batch_dims, buffer, cases, layout, scalars};
use crate::naive::{self, Rounding};

/// What is added.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Addend {
    /// What the result holds.
    Result,
    /// A matrix of its own.
    Matrix,
    /// A row, a column or an element for all.
    Shared([bool; 2]),
}

/// What a product of random layouts needs.
#[derive(Debug, Clone)]
pub struct Case {
    left: View,
    right: View,
    addend: Option<View>,
    result: View,
    scalars: (f64, f64),
    gpu: GpuSize,
    seed: u64,
}

type Sizes = (Vec<usize>, usize, usize, usize);

/// Mostly small; sometimes around the edges of a tile.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![12 => 1..6usize, 1 => 15..18usize, 1 => 30..36usize]
}

fn addend() -> impl Strategy<Value = Addend> {
    prop_oneof![
        2 => Just(Addend::Result),
        2 => Just(Addend::Matrix),
        1 => any::<[bool; 2]>().prop_map(Addend::Shared),
    ]
}

pub fn case(factors: Fastest) -> impl Strategy<Value = Case> {
    (2..6usize).prop_flat_map(move |rank| {
        let result = prop_oneof![3 => Just(Layout::contiguous(rank)), 1 => layout(rank, Fastest::Last, false)];
        let layouts = (
            layout(rank, factors, true),
            layout(rank, factors, true),
            layout(rank, Fastest::Any, true),
            result,
        );
        let sizes = (batch_dims(rank), size(), size(), size());
        let dtype = select(vec![DType::F32, DType::F16, DType::BF16]);
        let gpu = select(vec![GpuSize::Small, GpuSize::Large]);
        // Room behind an addend for what the last tile reads past it, or next to none.
        let room_bytes = select(vec![0, 1 << 14, 1 << 14]);
        let alignment = select(vec![(1, 1), (8, 1), (8, 8)]);
        (layouts, sizes, alignment, dtype, addend(), (scalars(), gpu, any::<u64>(), room_bytes)).prop_map(build)
    })
}

type Parts = (
    (Layout, Layout, Layout, Layout),
    Sizes,
    (usize, usize),
    DType,
    Addend,
    ((f64, f64), GpuSize, u64, usize),
);

fn build(
    (layouts, sizes, alignment, dtype, addend, (scalars, gpu, seed, room_bytes)): Parts,
) -> Case {
    let (batch, m, n, k) = sizes;
    let view = |mut layout: Layout, matrix: [usize; 2]| {
        (layout.stride_multiple, layout.offset_multiple) = alignment;
        layout.view(dtype, &[&batch[..], &matrix].concat())
    };
    let (left, right, mut added, mut result) = layouts;
    added.tail_bytes += room_bytes;
    result.tail_bytes += room_bytes;
    if let Addend::Shared(flags) = addend {
        let rank = added.broadcast.len();
        added.broadcast[rank - 2..].copy_from_slice(&flags);
    }
    Case {
        left: view(left, [m, k]),
        right: view(right, [k, n]),
        addend: (addend != Addend::Result).then(|| view(added, [m, n])),
        result: view(result, [m, n]),
        scalars,
        gpu,
        seed,
    }
}

impl Case {
    pub fn gemm(&self) -> Gemm<'_> {
        Gemm {
            left: &self.left,
            right: &self.right,
            addend: self.addend.as_ref(),
            result: &self.result,
            alpha: self.scalars.0,
            beta: self.scalars.1,
        }
    }

    fn plans(&self) -> [Result<Plan, Reject>; 4] {
        let gemm = self.gemm();
        [
            SteelPlan::plan(&gemm, self.gpu).map(Plan::Steel),
            GemvPlan::plan(&gemm).map(Plan::Gemv),
            NdArrayMultiplication::plan(&gemm).map(Plan::NdArray),
            MatrixMultiplication::plan(&gemm).map(Plan::Matrix),
        ]
    }

    /// Buffers of everything; what a beta of 0 must not read is NaN.
    fn host(&self) -> Host {
        let mut host = Host::default();
        let bytes = |view: &View, salt| buffer(view, self.seed.wrapping_add(salt));
        let added = |view: &View, salt: u64| match self.scalars.1 {
            0.0 => vec![0xff; view.buffer_len_bytes()],
            _ => bytes(view, salt),
        };
        host.insert(Slot::Left, bytes(&self.left, 0));
        host.insert(Slot::Right, bytes(&self.right, 1));
        host.insert(Slot::Result, added(&self.result, 2));
        host.insert(Slot::Zero, vec![0; metal_candle_mps::plan::ZERO_BYTES]);
        if let Some(addend) = &self.addend {
            host.insert(Slot::Addend, added(addend, 3));
        }
        host
    }

    /// The whole result buffer, by the definition.
    fn expected(&self, host: &Host, rounding: Rounding) -> Vec<u8> {
        let bytes = |slot| host.bytes(slot).expect("inserted");
        let (addend, slot) = match &self.addend {
            Some(view) => (view, Slot::Addend),
            None => (&self.result, Slot::Result),
        };
        naive::gemm(
            [&self.left, &self.right, addend, &self.result],
            [Slot::Left, Slot::Right, slot, Slot::Result].map(bytes),
            self.scalars,
            rounding,
        )
    }

    /// Runs `plan`, and compares all bytes of the result's buffer, gaps included.
    fn check(&self, plan: &Plan) -> Result<(), TestCaseError> {
        let rounding = match plan {
            Plan::Steel(_) => Rounding::Factors,
            Plan::Gemv(plan) if plan.kernel.ends_with("axpby1") => Rounding::Steps,
            Plan::Gemv(_) => Rounding::Factors,
            _ => Rounding::Once,
        };
        let mut host = self.host();
        let expected = self.expected(&host, rounding);
        let run = host.run(plan);
        prop_assert!(run.is_ok(), "{:?} {:#?}", run, plan);
        prop_assert_eq!(host.bytes(Slot::Result), Some(&expected[..]), "{:#?}", plan);
        Ok(())
    }
}

/// What no tile and no row of a batch can help.
fn is_about_result_or_addend(reject: &Reject) -> bool {
    matches!(reject, Reject::Uneven { .. } | Reject::AddendReach { .. })
}

/// Rejects of Steel: only what its argument table cannot say.
fn check_steel_reject(case: &Case, reject: &Reject) -> Result<(), TestCaseError> {
    prop_assert!(is_about_result_or_addend(reject), "{}", reject);
    if matches!(reject, Reject::AddendReach { .. }) {
        let rows = case.result.dims()[case.result.rank() - 2];
        let whole = case.result.dims().iter().product::<usize>();
        prop_assert!(
            !(rows.is_multiple_of(32) && whole.is_multiple_of(32)),
            "{}",
            reject
        );
    }
    Ok(())
}

#[test]
fn ten_thousand_layouts_are_exact_on_every_engine_that_takes_them() {
    let counts = std::cell::RefCell::new(BTreeMap::<String, usize>::new());
    let count = |name: String| *counts.borrow_mut().entry(name).or_default() += 1;
    let mut runner = TestRunner::new(cases(15_000));
    let outcome = runner.run(&case(Fastest::LastTwo), |case| {
        let plans = case.plans();
        if let Err(reject) = &plans[0] {
            check_steel_reject(&case, reject)?;
        }
        let accepted: Vec<&Plan> = plans.iter().flatten().collect();
        for plan in &accepted {
            case.check(plan)?;
            count(plan.engine().to_string());
        }
        if !accepted.is_empty() {
            count("layouts".into());
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let counts = counts.into_inner();
    assert!(counts["layouts"] >= 10_000, "{counts:?}");
    for engine in [Engine::Steel, Engine::Gemv, Engine::NdArray, Engine::Matrix] {
        assert!(counts[&engine.to_string()] >= 100, "{counts:?}");
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Whatever the strides: a plan is right.
    #[test]
    fn products_of_any_strides_are_exact_or_rejected(case in case(Fastest::Any)) {
        for plan in case.plans().iter().flatten() {
            case.check(plan)?;
        }
    }
}
