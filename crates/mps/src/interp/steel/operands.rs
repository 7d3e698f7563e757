//! The matrices of one member of the batch.

use super::super::{Array, Fault, batch_offset, size};
use super::is_set;
use super::kernel::Kernel;
use crate::plan::SteelPlan;
use crate::plan::steel::{constant, index};

/// The four matrices of one threadgroup row of the batch, from their first elements.
pub(super) struct Operands {
    pub left: Array,
    pub right: Array,
    pub addend: Option<Addend>,
    pub result: Array,
    pub lda: usize,
    pub ldb: usize,
    pub ldd: usize,
}

impl Operands {
    pub fn of_matrix(plan: &SteelPlan, kernel: &Kernel, z: usize) -> Result<Self, Fault> {
        let bound = |index| Array::bound(&plan.bindings, index, kernel.dtype);
        let addend = is_set(plan, constant::USE_OUT_SOURCE);
        let addend = addend.then(|| Addend::of_matrix(plan, bound(index::ADDEND)?, z));
        let params = &plan.params;
        Ok(Self {
            left: bound(index::LEFT)?.skip(skipped(plan, 0, params.batch_stride_a, z)?),
            right: bound(index::RIGHT)?.skip(skipped(plan, 1, params.batch_stride_b, z)?),
            addend: addend.transpose()?,
            result: bound(index::RESULT)?.skip(times(params.batch_stride_d, z)),
            lda: size("lda", params.lda)?,
            ldb: size("ldb", params.ldb)?,
            ldd: size("ldd", params.ldd)?,
        })
    }
}

/// C from its first element, and what is done with it.
pub(super) struct Addend {
    pub array: Array,
    pub ldc: usize,
    pub fdc: usize,
    pub factors: [f64; 2],
}

impl Addend {
    fn of_matrix(plan: &SteelPlan, bound: Array, z: usize) -> Result<Self, Fault> {
        let missing = Fault::Unbound {
            index: index::ADDEND_PARAMS,
        };
        let params = plan.addend.ok_or(missing)?;
        Ok(Self {
            array: bound.skip(skipped(plan, 2, params.batch_stride_c, z)?),
            ldc: size("ldc", params.ldc)?,
            fdc: size("fdc", params.fdc)?,
            factors: [params.alpha, params.beta].map(f64::from),
        })
    }
}

fn times(stride: u64, z: usize) -> usize {
    (stride as usize).saturating_mul(z)
}

/// Elements to matrix `z` of an operand.
fn skipped(plan: &SteelPlan, operand: usize, only_stride: u64, z: usize) -> Result<usize, Fault> {
    if !is_set(plan, constant::HAS_BATCH) {
        return Ok(times(only_stride, z));
    }
    let ndim = size("batch_ndim", plan.params.batch_ndim)?;
    let strides = plan.batch_strides.get(operand * ndim..(operand + 1) * ndim);
    let strides = strides.ok_or(Fault::Unbound {
        index: index::BATCH_STRIDES,
    })?;
    let shape = plan.batch_shape.get(..ndim).ok_or(Fault::Unbound {
        index: index::BATCH_SHAPE,
    })?;
    Ok(batch_offset(z, shape, strides))
}
