//! Many parameters in one pass: each number is read once, changed in registers and written where it
//! was. candle lends the memory of a tensor only inside of an operation on it, so every tensor's
//! operation calls the next one's, and the innermost does the work with all of them.

use super::Update;
use super::factors::Factors;
use crate::Result;
use crate::host::slice_of;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result as CandleResult, Tensor};
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::{TASK_ELEMENTS, for_each_task};
use metal_candle_cpu::vector::update;
use pulp::{Simd, WithSimd};
use std::borrow::Cow;
use std::cell::Cell;

/// Parameters of one pass; bounds the depth of the calls.
const PASS: usize = 64;

/// Numbers that a step moves for each that an element-wise operation does.
const MOVED: usize = 3;

/// Updates all parameters, which have been checked.
pub(super) fn step(factors: &Factors, updates: &[Update<'_>]) -> Result<()> {
    for updates in updates.chunks(PASS) {
        with_memory(updates, vec![], factors)?;
    }
    Ok(())
}

/// One parameter, its moments and its gradient.
struct Numbers<'a> {
    parameter: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: Cow<'a, [f32]>,
}

/// Borrows the memory of all `updates` after that of `earlier` ones, then does the step.
fn with_memory(
    updates: &[Update<'_>],
    mut earlier: Vec<Numbers<'_>>,
    factors: &Factors,
) -> CandleResult<()> {
    let Some((update, updates)) = updates.split_first() else {
        update_all(factors, &mut earlier);
        return Ok(());
    };
    let (gradient, layout) = update.gradient.storage_and_layout();
    let gradient = slice_of(&gradient, layout)?;
    let moments = &update.moments;
    lend(update.parameter, |parameter| {
        lend(&moments.first, |first| {
            lend(&moments.second, |second| {
                let mut numbers: Vec<Numbers<'_>> = earlier;
                numbers.push(Numbers {
                    parameter,
                    first,
                    second,
                    gradient,
                });
                with_memory(updates, numbers, factors)
            })
        })
    })
}

/// Calls `f` with the memory of `t`.
fn lend(t: &Tensor, f: impl FnOnce(&mut [f32]) -> CandleResult<()>) -> CandleResult<()> {
    t.inplace_op1(&Lend(Cell::new(Some(f))))
}

struct Lend<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut [f32]) -> CandleResult<()>> InplaceOp1 for Lend<F> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> CandleResult<()> {
        match (storage, layout.contiguous_offsets(), self.0.take()) {
            (CpuStorage::F32(data), Some((start, end)), Some(f)) => f(&mut data[start..end]),
            _ => candle_core::bail!("adamw: what is changed must be contiguous float32"),
        }
    }
}

fn update_all(factors: &Factors, numbers: &mut [Numbers<'_>]) {
    let mut tasks = vec![];
    let mut elements = 0;
    for numbers in numbers {
        elements += numbers.parameter.len();
        let parameter = numbers.parameter.chunks_mut(TASK_ELEMENTS);
        let first = numbers.first.chunks_mut(TASK_ELEMENTS);
        let second = numbers.second.chunks_mut(TASK_ELEMENTS);
        let gradient = numbers.gradient.chunks(TASK_ELEMENTS);
        let parts = parameter.zip(first).zip(second).zip(gradient);
        tasks.extend(parts.map(|(((parameter, first), second), gradient)| Part {
            factors,
            written: [parameter, first, second],
            gradient,
        }));
    }
    for_each_task(tasks, elements * MOVED, |_: &mut (), part| dispatch(part));
}

/// Part of a parameter that one thread updates at a time.
struct Part<'a> {
    factors: &'a Factors,
    /// Parameter, first and second moment.
    written: [&'a mut [f32]; 3],
    gradient: &'a [f32],
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Factors {
            gradient,
            beta1,
            beta2,
            one_minus_beta1,
            one_minus_beta2,
            decay,
            rate,
            second_correction,
            eps,
        } = self.factors.each(simd);
        update(
            simd,
            self.written,
            [self.gradient],
            #[inline(always)]
            |[p, m, v], [g]| {
                let g = simd.mul_f32s(gradient, g);
                let m = simd.mul_add_e_f32s(beta1, m, simd.mul_f32s(one_minus_beta1, g));
                let gg = simd.mul_f32s(g, g);
                let v = simd.mul_add_e_f32s(beta2, v, simd.mul_f32s(one_minus_beta2, gg));
                let root = simd.sqrt_f32s(simd.mul_f32s(v, second_correction));
                let change = simd.div_f32s(simd.mul_f32s(rate, m), simd.add_f32s(root, eps));
                let p = simd.sub_f32s(simd.mul_f32s(p, decay), change);
                [p, m, v]
            },
        );
    }
}
