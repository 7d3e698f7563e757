//! From a product to a dispatch.

use candle_core::DType;

use super::tile::{self, Size, Tile};
use super::{GemmAddMmParams, GemmParams, GpuSize, SteelPlan, constant, index};
use crate::plan::axis::{self, ADDEND, Axis, LEFT, RESULT, RIGHT};
use crate::plan::gemm::FLOATS;
use crate::plan::problem::{Problem, Stored};
use crate::plan::{Gemm, Reject, Slot, limits};

impl SteelPlan {
    /// Plans `gemm` without copying an operand.
    ///
    /// Rows or columns of each factor are contiguous, rows of the result too; the addend has any
    /// strides. A batch becomes rows where the right factor is shared, and is walked by its strides
    /// otherwise; matrices of the result are evenly spaced.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit. A contiguous copy of the operand that it names
    /// does, and for [`Reject::AddendReach`] one in a larger buffer.
    pub fn plan(gemm: &Gemm<'_>, gpu: GpuSize) -> Result<Self, Reject> {
        let mut problem = Problem::new(gemm, "Steel", &FLOATS)?;
        problem.fold_rows_of_any_stride();
        let matrices = Matrices::new(&problem)?;
        matrices.check_limits(&problem)?;
        let tile = fitting_tile(&problem, matrices.size(&problem), gpu)?;
        Ok(matrices.plan(&problem, tile))
    }
}

/// Matrices of a problem as they are stored.
struct Matrices {
    left: Stored,
    right: Stored,
    ldd: usize,
    batch_stride_d: usize,
}

impl Matrices {
    fn new(problem: &Problem) -> Result<Self, Reject> {
        let Problem {
            rows,
            columns,
            inner,
            ..
        } = problem;
        let left = problem.stored_or_reject((Slot::Left, LEFT), rows, inner)?;
        let right = problem.stored_or_reject((Slot::Right, RIGHT), inner, columns)?;
        let strides = [rows, columns].map(|axis| axis.strides[RESULT]);
        let result = problem.stored(RESULT, rows, columns);
        let result = result.filter(|stored| !stored.transposed);
        let ldd = result.ok_or(Reject::ResultByColumns { strides })?.ld;
        let batch_stride_d = problem.result_step(rows.len * ldd)?;
        Ok(Self {
            left,
            right,
            ldd,
            batch_stride_d,
        })
    }

    fn size(&self, problem: &Problem) -> Size {
        Size {
            m: problem.rows.len,
            n: problem.columns.len,
            k: problem.inner.len,
            batch: problem.count(),
            transposed: [self.left.transposed, self.right.transposed],
        }
    }

    fn check_limits(&self, problem: &Problem) -> Result<(), Reject> {
        let [ldc, fdc] = [&problem.rows, &problem.columns].map(|axis| axis.strides[ADDEND]);
        limits::check_count("result rows", problem.rows.len)?;
        limits::check_count("result columns", problem.columns.len)?;
        limits::check_count("interior columns", problem.inner.len)?;
        limits::check_count("batch", problem.count())?;
        for (name, stride) in [
            ("row stride of the left factor", self.left.ld),
            ("row stride of the right factor", self.right.ld),
            ("row stride of the result", self.ldd),
            ("row stride of the addend", ldc),
            ("column stride of the addend", fdc),
        ] {
            limits::check_at_most(limits::MAX_STEP, name, stride)?;
        }
        Ok(())
    }

    fn plan(&self, problem: &Problem, tile: Tile) -> SteelPlan {
        let (m, n, k) = (problem.rows.len, problem.columns.len, problem.inner.len);
        let batch = &problem.batch;
        let axpby = (problem.alpha, problem.beta) != (1.0, 1.0);
        SteelPlan {
            dtype: problem.dtype,
            kernel: kernel(problem.dtype, self.size(problem).transposed, tile),
            constants: [
                (constant::HAS_BATCH, batch.len() > 1),
                (constant::USE_OUT_SOURCE, problem.addend.is_some()),
                (constant::DO_AXPBY, problem.addend.is_some() && axpby),
                (constant::ALIGN_M, m.is_multiple_of(tile.bm)),
                (constant::ALIGN_N, n.is_multiple_of(tile.bn)),
                (constant::ALIGN_K, k.is_multiple_of(tile.bk)),
                (constant::DO_GATHER, false),
            ],
            bindings: problem.bindings([index::LEFT, index::RIGHT]),
            params: self.params(problem, tile),
            addend: addend_params(problem),
            batch_shape: axis::values(batch, 1, |axis| axis.len as i32),
            batch_strides: batch_strides(problem),
            grid: [n.div_ceil(tile.bn), m.div_ceil(tile.bm), problem.count()],
            group: [32, tile.wn, tile.wm],
        }
    }

    fn params(&self, problem: &Problem, tile: Tile) -> GemmParams {
        let (m, n, k) = (problem.rows.len, problem.columns.len, problem.inner.len);
        GemmParams {
            m: m as i32,
            n: n as i32,
            k: k as i32,
            lda: self.left.ld as i32,
            ldb: self.right.ld as i32,
            ldd: self.ldd as i32,
            tiles_n: n.div_ceil(tile.bn) as i32,
            tiles_m: m.div_ceil(tile.bm) as i32,
            batch_stride_a: only_stride(&problem.batch, LEFT),
            batch_stride_b: only_stride(&problem.batch, RIGHT),
            batch_stride_d: self.batch_stride_d as u64,
            swizzle_log: 0,
            gemm_k_iterations_aligned: (k / tile.bk) as i32,
            batch_ndim: problem.batch.len().max(1) as i32,
        }
    }
}

/// Candle's tile, or the small one where only that stays in the addend's buffer.
fn fitting_tile(problem: &Problem, size: Size, gpu: GpuSize) -> Result<Tile, Reject> {
    let chosen = Tile::choose(problem.dtype, size, gpu);
    check_reach(problem, chosen)
        .map(|()| chosen)
        .or_else(|_| check_reach(problem, tile::SMALL).map(|()| tile::SMALL))
}

fn check_reach(problem: &Problem, tile: Tile) -> Result<(), Reject> {
    let Some(addend) = problem.addend else {
        return Ok(());
    };
    let last = |axis: &Axis, len: usize| (len - 1).saturating_mul(axis.strides[ADDEND]);
    let rows = last(&problem.rows, tile.addend_rows(problem.rows.len));
    let columns = last(&problem.columns, problem.columns.len);
    let batch = problem.batch.iter().map(|axis| last(axis, axis.len));
    let elements = batch.fold(rows.saturating_add(columns), usize::saturating_add);
    let bytes = elements
        .saturating_add(1)
        .saturating_mul(problem.dtype.size_in_bytes());
    let end_bytes = addend.offset_bytes.saturating_add(bytes);
    let (slot, buffer_len_bytes) = (addend.slot, addend.buffer_len_bytes);
    let reject = Reject::AddendReach {
        slot,
        end_bytes,
        buffer_len_bytes,
    };
    limits::allow(end_bytes <= buffer_len_bytes, reject)
}

fn kernel(dtype: DType, transposed: [bool; 2], tile: Tile) -> String {
    let [a, b] = transposed.map(|transposed| if transposed { 't' } else { 'n' });
    let (name, Tile { bm, bn, bk, wm, wn }) = (dtype.as_str(), tile);
    format!("gemm_{a}{b}_{name}_{name}_{bm}_{bn}_{bk}_{wm}_{wn}")
}

fn addend_params(problem: &Problem) -> Option<GemmAddMmParams> {
    problem.addend.map(|_| GemmAddMmParams {
        ldc: problem.rows.strides[ADDEND] as i32,
        fdc: problem.columns.strides[ADDEND] as i32,
        batch_stride_c: only_stride(&problem.batch, ADDEND),
        alpha: problem.alpha,
        beta: problem.beta,
    })
}

fn batch_strides(problem: &Problem) -> Vec<u64> {
    let addend = problem.addend.is_some().then_some(ADDEND);
    let operands = [LEFT, RIGHT].into_iter().chain(addend);
    let strides = |i: usize| axis::values(&problem.batch, 0, |axis| axis.strides[i] as u64);
    operands.flat_map(strides).collect()
}

/// The stride of a batch of one dimension; of more, the kernel does not ask for it.
fn only_stride(batch: &[Axis], operand: usize) -> u64 {
    match batch {
        [axis] => axis.strides[operand] as u64,
        _ => 0,
    }
}
