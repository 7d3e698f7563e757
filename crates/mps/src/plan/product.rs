//! Plans for `MPSMatrixMultiplication`.

use candle_core::DType;

use super::axis::{self, Axis, LEFT, RESULT, RIGHT};
use super::limits::{self, MAX_BATCH, MAX_DIMENSION};
use super::problem::Problem;
use super::{Gemm, Matrix, Reject, Slot};

/// One `MPSMatrixMultiplication` object and the times it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixMultiplication {
    /// The object.
    pub kernel: MatrixKernel,
    /// Left factor, right factor and result of each encoding; calls write different elements, so their
    /// order is free. `batchStart` is 0, and `batchSize` the number of matrices.
    pub calls: Vec<[Matrix; 3]>,
}

/// Everything that is baked into an `MPSMatrixMultiplication` when it is made, and the type that it is
/// used with: two plans may share an object exactly if this is equal.
///
/// Origins and batch are properties set before each encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatrixKernel {
    /// Whether the left matrix is stored as `(K, M)`.
    pub transpose_left: bool,
    /// Whether the right matrix is stored as `(N, K)`.
    pub transpose_right: bool,
    /// `resultRows`, M.
    pub rows: usize,
    /// `resultColumns`, N.
    pub columns: usize,
    /// `interiorColumns`, K.
    pub interior: usize,
    /// Factor of the product.
    pub alpha: Factor,
    /// Factor of the old result.
    pub beta: Factor,
    /// Type of all matrices.
    pub dtype: DType,
}

/// A double that counts by its bits, so that NaN equals itself and 0 differs from -0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Factor(u64);

impl Factor {
    /// `value` by its bits.
    pub const fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    /// The number; MPS rounds it to a precision of its own choice.
    pub const fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Types of Metal.jl's `MPS_VALID_MATMUL_TYPES`, which tests them on Apple hardware, that candle has.
/// There is no bfloat16.
const TYPES: [DType; 2] = [DType::F32, DType::F16];

impl MatrixMultiplication {
    /// Plans `gemm` without copying an operand.
    ///
    /// A batch becomes rows where the right factor is shared, an array of matrices where its
    /// strides are those of one, and one call per matrix otherwise.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit.
    pub fn plan(gemm: &Gemm<'_>) -> Result<Self, Reject> {
        let name = "MPSMatrixMultiplication";
        let (problem, matrices) = fold(gemm, name, &TYPES, |_| true)?;
        let kernel = MatrixKernel {
            transpose_left: matrices[LEFT].transposed,
            transpose_right: matrices[RIGHT].transposed,
            rows: problem.rows.len,
            columns: problem.columns.len,
            interior: problem.inner.len,
            alpha: Factor::new(gemm.alpha),
            beta: Factor::new(gemm.beta),
            dtype: problem.dtype,
        };
        let (batch, matrices) = stack(&problem.batch, matrices);
        matrices.iter().try_for_each(Matrix::check_elements)?;
        let calls = calls(&problem, &batch, matrices, Matrix::at_origin)?;
        for [.., result] in &calls {
            limits::check_reach(kernel.rows, kernel.interior, result.row_bytes)?;
        }
        Ok(Self { kernel, calls })
    }
}

/// A product for kernels of MPS and its matrices, with what can be of the batch as rows: the batched
/// kernels have faults that the plain one has not (pytorch#180776, #189495, #189847).
pub(super) fn fold(
    gemm: &Gemm<'_>,
    kernel: &'static str,
    types: &[DType],
    fits: impl Fn(&[Matrix; 3]) -> bool,
) -> Result<(Problem, [Matrix; 3]), Reject> {
    if gemm.addend.is_some() && gemm.beta != 0.0 {
        return Err(Reject::SeparateAddend);
    }
    let mut problem = Problem::new(gemm, kernel, types)?;
    matrices(&problem)?;
    problem.fold_rows(|folded| matrices(folded).is_ok_and(|matrices| fits(&matrices)));
    limits::check_at_most(MAX_BATCH, "matrices of the batch", problem.count())?;
    let matrices = matrices(&problem)?;
    Ok((problem, matrices))
}

/// Left factor, right factor and result, if they are matrices within all limits.
fn matrices(problem: &Problem) -> Result<[Matrix; 3], Reject> {
    let (dtype, rows, columns) = (problem.dtype, &problem.rows, &problem.columns);
    let inner = &problem.inner;
    let left = Matrix::of(dtype, (Slot::Left, LEFT), [rows, inner])?;
    let right = Matrix::of(dtype, (Slot::Right, RIGHT), [inner, columns])?;
    let strides = [rows.strides[RESULT], columns.strides[RESULT]];
    if columns.len > 1 && strides[1] != 1 {
        return Err(Reject::ResultByColumns { strides });
    }
    let sizes = [rows.len, columns.len];
    let result = Matrix::stored(Slot::Result, dtype, sizes, strides[0])?;
    limits::check_at_most(MAX_DIMENSION, "interior columns", inner.len)?;
    limits::check_at_most(MAX_DIMENSION, "result columns", columns.len)?;
    limits::check_at_most(MAX_DIMENSION, "result rows", rows.len)?;
    limits::check_reach(rows.len, inner.len, result.row_bytes)?;
    Ok([left, right, result])
}

/// The longest axis along which all three are arrays, of equals the finest, becomes one; the other
/// axes, and the arrays.
fn stack(batch: &[Axis], matrices: [Matrix; 3]) -> (Vec<Axis>, [Matrix; 3]) {
    let mut rest = batch.to_vec();
    let arrays = batch.iter().enumerate();
    let arrays = arrays.filter_map(|(i, axis)| Some((i, stacked(&matrices, axis)?)));
    match arrays.max_by_key(|(i, _)| batch[*i].len) {
        Some((i, stacked)) => {
            rest.remove(i);
            (rest, stacked)
        }
        None => (rest, matrices),
    }
}

fn stacked([left, right, result]: &[Matrix; 3], axis: &Axis) -> Option<[Matrix; 3]> {
    Some([
        left.stacked(axis.len, axis.strides[LEFT])?,
        right.stacked(axis.len, axis.strides[RIGHT])?,
        result.stacked(axis.len, axis.strides[RESULT])?,
    ])
}

/// The matrices at every place of the batch, each put there by `place`.
pub(super) fn calls(
    problem: &Problem,
    batch: &[Axis],
    matrices: [Matrix; 3],
    place: impl Fn(Matrix, usize) -> Result<Matrix, Reject>,
) -> Result<Vec<[Matrix; 3]>, Reject> {
    let size_in_bytes = problem.dtype.size_in_bytes();
    let call = |offsets: [usize; 4]| {
        let at = |i: usize| {
            let offset_bytes = problem.offsets_bytes[i] + offsets[i] * size_in_bytes;
            place(matrices[i], offset_bytes)
        };
        Ok([at(LEFT)?, at(RIGHT)?, at(RESULT)?])
    };
    axis::offsets(batch).map(call).collect()
}
