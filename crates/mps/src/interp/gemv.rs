//! Candle's matrix-vector products, thread by thread.

use candle_core::DType;

use super::{Fault, Host, Place, batch_offset, check_group, size};
use crate::plan::GemvPlan;
use crate::plan::gemv::index;
use crate::plan::scalar::round;

impl Host {
    /// Runs the dispatch of `plan`.
    ///
    /// Threads run one after the other; where two of them compute the same element, which the last
    /// two of a result do, the second one sees what the first has written.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; what threads before the faulty one write has been written.
    pub fn multiply_gemv(&mut self, plan: &GemvPlan) -> Result<(), Fault> {
        let kernel = Kernel::new(plan)?;
        for z in 0..plan.grid[2] {
            let operands = Operands::of_matrix(plan, &kernel, z)?;
            for start in (0..plan.grid[0] * kernel.reach).step_by(kernel.step) {
                if start < kernel.outer {
                    self.multiply_step(plan, &kernel, &operands, start)?;
                }
            }
        }
        Ok(())
    }

    /// The elements of one thread, moved back if they would pass the end.
    fn multiply_step(
        &mut self,
        plan: &GemvPlan,
        kernel: &Kernel,
        operands: &Operands,
        start: usize,
    ) -> Result<(), Fault> {
        let last = kernel.outer.checked_sub(kernel.step);
        let first = start.min(last.ok_or(Fault::Argument {
            name: "out_vec_size",
            value: i64::from(plan.out_vec_size),
        })?);
        let sums = (first..first + kernel.step).map(|outer| self.sum(kernel, operands, outer));
        let sums = sums.collect::<Result<Vec<_>, _>>()?;
        for (outer, sum) in (first..).zip(sums) {
            let value = match operands.addend {
                None => sum,
                Some(addend) => {
                    let read = self.read(addend.skip(outer * kernel.addend_stride))?;
                    axpby(kernel.dtype, plan, sum, read)
                }
            };
            self.write(operands.result.skip(outer), value)?;
        }
        Ok(())
    }

    fn sum(&self, kernel: &Kernel, operands: &Operands, outer: usize) -> Result<f64, Fault> {
        let mut sum = 0.0;
        for k in 0..kernel.inner {
            let element = match kernel.transposed {
                true => k * kernel.ld + outer,
                false => outer * kernel.ld + k,
            };
            let matrix = self.read(operands.matrix.skip(element))?;
            sum += matrix * self.read(operands.vector.skip(k))?;
        }
        Ok(sum)
    }
}

/// Every step in the type of the operands.
fn axpby(dtype: DType, plan: &GemvPlan, sum: f64, addend: f64) -> f64 {
    let [alpha, beta] = [plan.alpha, plan.beta].map(|factor| round(dtype, f64::from(factor)));
    let product = round(dtype, alpha * round(dtype, sum));
    product + round(dtype, beta * addend)
}

/// Kernel as its name and arguments describe every thread.
struct Kernel {
    dtype: DType,
    transposed: bool,
    walks: bool,
    adds: bool,
    /// Elements of a thread.
    step: usize,
    /// Elements of a threadgroup.
    reach: usize,
    inner: usize,
    outer: usize,
    ld: usize,
    addend_stride: usize,
}

impl Kernel {
    fn new(plan: &GemvPlan) -> Result<Self, Fault> {
        let name = &plan.kernel;
        let unknown = || Fault::Kernel { name: name.clone() };
        let transposed = name.starts_with("gemv_t_");
        let rest = name.strip_prefix(if transposed { "gemv_t_" } else { "gemv_" });
        let parts: Vec<&str> = rest.ok_or_else(unknown)?.split('_').collect();
        let number = |prefix| {
            let part = parts.iter().find_map(|part| part.strip_prefix(prefix));
            let number = part.and_then(|digits| digits.parse::<usize>().ok());
            number.ok_or_else(unknown)
        };
        let (bm, bn) = (number("bm")?, number("bn")?);
        let (along, lanes, step) = match transposed {
            true => (bn, number("sn")?, number("tn")?),
            false => (bm, number("sm")?, number("tm")?),
        };
        check_group(plan.group, [32, bn, bm])?;
        Ok(Self {
            dtype: dtype(parts[0]).ok_or_else(unknown)?,
            transposed,
            walks: number("nc")? == 1,
            adds: number("axpby")? == 1,
            step,
            reach: along * lanes * step,
            inner: size("in_vec_size", plan.in_vec_size)?,
            outer: size("out_vec_size", plan.out_vec_size)?,
            ld: size("matrix_ld", plan.matrix_ld)?,
            addend_stride: size("addend_stride", plan.addend_stride)?,
        })
    }
}

fn dtype(name: &str) -> Option<DType> {
    match name {
        "float32" => Some(DType::F32),
        "float16" => Some(DType::F16),
        "bfloat16" => Some(DType::BF16),
        _ => None,
    }
}

/// The operands of one matrix of the batch.
struct Operands {
    matrix: Place,
    vector: Place,
    addend: Option<Place>,
    result: Place,
}

impl Operands {
    fn of_matrix(plan: &GemvPlan, kernel: &Kernel, z: usize) -> Result<Self, Fault> {
        let bound = |index, strides: &[i64]| {
            let strides: Vec<u64> = strides.iter().map(|&stride| stride as u64).collect();
            let skipped = match (kernel.walks, &strides[..]) {
                (false, &[only, ..]) => (only as usize).saturating_mul(z),
                _ => batch_offset(z, &plan.batch_shape, &strides),
            };
            let first = Place::bound(&plan.bindings, index, kernel.dtype)?;
            Ok::<_, Fault>(first.skip(skipped))
        };
        let addend = kernel
            .adds
            .then(|| bound(index::ADDEND, &plan.addend_batch_strides));
        let result = Place::bound(&plan.bindings, index::RESULT, kernel.dtype)?;
        Ok(Self {
            matrix: bound(index::MATRIX, &plan.matrix_batch_strides)?,
            vector: bound(index::VECTOR, &plan.vector_batch_strides)?,
            addend: addend.transpose()?,
            result: result.skip(z * kernel.outer),
        })
    }
}
