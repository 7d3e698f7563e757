//! One pass over memory per parameter, which is changed in place.

use super::{AdamW, Moments, Update};
use crate::host::{slice, slice_of, tensor};
use crate::threads::{PARALLEL_ELEMENTS, TASK_ELEMENTS};
use crate::{Error, Result};
use candle_core::{CpuStorage, InplaceOp3, Layout, Result as CandleResult, Tensor};
use rayon::prelude::*;
use std::cell::RefCell;

pub(super) fn update(settings: &AdamW, step: usize, update: &mut Update<'_>) -> Result<()> {
    let Moments { first, second } = &*update.moments;
    if same_memory(update.parameter, first) {
        return Err(Error::Value {
            op: "adamw",
            what: "first moment",
            expected: "in memory of its own".into(),
            got: "that of the parameter".into(),
        });
    }
    let (first_storage, first_layout) = first.storage_and_layout();
    let op = Step {
        factors: Factors::new(settings, step),
        first: &slice_of(&first_storage, first_layout)?,
        moments: RefCell::default(),
    };
    update.parameter.inplace_op3(update.gradient, second, &op)?;
    let shape = first.shape();
    let [new_first, new_second] = op.moments.into_inner();
    let moments = Moments {
        first: tensor(CpuStorage::F32(new_first), shape),
        second: tensor(CpuStorage::F32(new_second), shape),
    };
    drop(first_storage);
    *update.moments = moments;
    Ok(())
}

/// Whether both are views of one allocation: the step writes one while it reads the other.
fn same_memory(a: &Tensor, b: &Tensor) -> bool {
    let (a, _) = a.storage_and_layout();
    let (b, _) = b.storage_and_layout();
    std::ptr::eq(&*a, &*b)
}

struct Step<'a> {
    factors: Factors,
    first: &'a [f32],
    /// The new first and second moment.
    moments: RefCell<[Vec<f32>; 2]>,
}

impl InplaceOp3 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        parameter: &mut CpuStorage,
        parameter_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        second: &CpuStorage,
        second_layout: &Layout,
    ) -> CandleResult<()> {
        let (CpuStorage::F32(parameter), Some((start, end))) =
            (parameter, parameter_layout.contiguous_offsets())
        else {
            candle_core::bail!("adamw: the parameter must be contiguous float32");
        };
        let gradient = slice(gradient, gradient_layout)?;
        let second = slice(second, second_layout)?;
        let [mut new_first, mut new_second] = [0; 2].map(|_| vec![0.0; end - start]);
        let written = (
            &mut parameter[start..end],
            &mut new_first[..],
            &mut new_second[..],
        );
        self.factors.step(written, (&gradient, self.first, &second));
        *self.moments.borrow_mut() = [new_first, new_second];
        Ok(())
    }
}

/// Parameter, first and second moment.
type Written<'a> = (&'a mut [f32], &'a mut [f32], &'a mut [f32]);
/// Gradient, first and second moment.
type Read<'a> = (&'a [f32], &'a [f32], &'a [f32]);

/// The settings and corrections of one step, as float32.
#[derive(Clone, Copy)]
struct Factors {
    gradient: f32,
    beta1: f32,
    beta2: f32,
    one_minus_beta1: f32,
    one_minus_beta2: f32,
    decay: f32,
    rate: f32,
    second_correction: f32,
    eps: f32,
}

impl Factors {
    fn new(settings: &AdamW, step: usize) -> Self {
        let AdamW {
            beta1, beta2, lr, ..
        } = *settings;
        let correction = |beta: f64| 1.0 / (1.0 - beta.powi(step as i32));
        Self {
            gradient: settings.gradient_scale as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            one_minus_beta1: (1.0 - beta1) as f32,
            one_minus_beta2: (1.0 - beta2) as f32,
            decay: (1.0 - lr * settings.weight_decay) as f32,
            rate: (lr * correction(beta1)) as f32,
            second_correction: correction(beta2) as f32,
            eps: settings.eps as f32,
        }
    }

    fn step(self, written: Written<'_>, read: Read<'_>) {
        if read.0.len() < PARALLEL_ELEMENTS {
            return self.step_part(written, read);
        }
        let (parameter, new_first, new_second) = written;
        let written = parameter
            .par_chunks_mut(TASK_ELEMENTS)
            .zip(new_first.par_chunks_mut(TASK_ELEMENTS))
            .zip(new_second.par_chunks_mut(TASK_ELEMENTS));
        let (gradient, first, second) = read;
        let read = gradient
            .par_chunks(TASK_ELEMENTS)
            .zip(first.par_chunks(TASK_ELEMENTS))
            .zip(second.par_chunks(TASK_ELEMENTS));
        written
            .zip(read)
            .for_each(|(((p, new_m), new_v), ((g, m), v))| {
                self.step_part((p, new_m, new_v), (g, m, v));
            });
    }

    fn step_part(self, (p, new_m, new_v): Written<'_>, (g, m, v): Read<'_>) {
        let read = g.iter().zip(m).zip(v);
        for (((p, new_m), new_v), ((g, m), v)) in p.iter_mut().zip(new_m).zip(new_v).zip(read) {
            let g = self.gradient * g;
            *new_m = self.beta1 * m + self.one_minus_beta1 * g;
            *new_v = self.beta2 * v + self.one_minus_beta2 * g * g;
            let root = (*new_v * self.second_correction).sqrt() + self.eps;
            *p = *p * self.decay - self.rate * *new_m / root;
        }
    }
}
