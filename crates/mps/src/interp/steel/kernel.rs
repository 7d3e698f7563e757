//! Kernels as their names and arguments describe them.

use super::super::{Fault, size};
use super::is_set;
use crate::plan::steel::constant;
use crate::plan::{DataType, SteelPlan};

/// Kernel as its name, constants and parameters describe every tile.
pub(super) struct Kernel {
    pub dtype: DataType,
    pub transposed: [bool; 2],
    /// Rows and columns.
    pub tile: [usize; 2],
    /// Along rows and columns.
    pub simdgroups: [usize; 2],
    /// Elements of the inner dimension that are multiplied.
    pub depth: usize,
    pub axpby: bool,
}

impl Kernel {
    pub fn new(plan: &SteelPlan) -> Result<Self, Fault> {
        let unknown = || Fault::Kernel {
            name: plan.kernel.clone(),
        };
        let parts: Vec<&str> = plan.kernel.split('_').collect();
        let ["gemm", letters, operand, result, sizes @ ..] = &parts[..] else {
            return Err(unknown());
        };
        let sizes: Option<Vec<usize>> = sizes.iter().map(|size| size.parse().ok()).collect();
        let Some(&[bm, bn, bk, wm, wn]) = sizes.as_deref() else {
            return Err(unknown());
        };
        let (transposed, dtype) = (transposed(letters), dtype(operand));
        let (Some(transposed), Some(dtype), true) = (transposed, dtype, operand == result) else {
            return Err(unknown());
        };
        check_group(plan, [32, wn, wm])?;
        let params = &plan.params;
        let aligned = bk
            * size(
                "gemm_k_iterations_aligned",
                params.gemm_k_iterations_aligned,
            )?;
        let inner = size("K", params.k)?;
        let whole = is_set(plan, constant::ALIGN_K);
        Ok(Self {
            dtype,
            transposed,
            tile: [bm, bn],
            simdgroups: [wm, wn],
            depth: if whole { aligned } else { aligned.max(inner) },
            axpby: is_set(plan, constant::DO_AXPBY),
        })
    }
}

fn transposed(letters: &str) -> Option<[bool; 2]> {
    match letters {
        "nn" => Some([false, false]),
        "nt" => Some([false, true]),
        "tn" => Some([true, false]),
        "tt" => Some([true, true]),
        _ => None,
    }
}

fn dtype(name: &str) -> Option<DataType> {
    match name {
        "f32" => Some(DataType::Float32),
        "f16" => Some(DataType::Float16),
        "bf16" => Some(DataType::BFloat16),
        _ => None,
    }
}

fn check_group(plan: &SteelPlan, expected: [usize; 3]) -> Result<(), Fault> {
    let got = plan.group;
    if got == expected {
        Ok(())
    } else {
        Err(Fault::Group { expected, got })
    }
}
