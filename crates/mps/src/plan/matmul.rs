//! Plans for `MPSMatrixMultiplication`.

use super::grid::Cell;
use super::{DataType, KernelKey, Matrix, Origin, Product, Reject, limits};

/// One `MPSMatrixMultiplication` object and the times it is encoded.
///
/// `alpha` and `beta` are the doubles of the initialiser; MPS rounds them to a precision of its
/// own choice.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixMultiplication {
    /// Whether the left matrix is stored as `(K, M)`.
    pub transpose_left: bool,
    /// Whether the right matrix is stored as `(N, K)`.
    pub transpose_right: bool,
    /// M.
    pub result_rows: usize,
    /// N.
    pub result_columns: usize,
    /// K.
    pub interior_columns: usize,
    /// Factor of the product.
    pub alpha: f64,
    /// Factor of the old result.
    pub beta: f64,
    /// Type of both factors.
    pub operand_dtype: DataType,
    /// Type of the result.
    pub result_dtype: DataType,
    /// What to encode; calls write different elements, so their order is free.
    pub calls: Vec<MatrixMultiplicationCall>,
}

/// The properties to set, and the matrices to pass, for one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixMultiplicationCall {
    /// Left factor.
    pub left: Matrix,
    /// Right factor.
    pub right: Matrix,
    /// What is written.
    pub result: Matrix,
    /// `leftMatrixOrigin`.
    pub left_origin: Origin,
    /// `rightMatrixOrigin`.
    pub right_origin: Origin,
    /// `resultMatrixOrigin`.
    pub result_origin: Origin,
    /// `batchStart`, the same for all three.
    pub batch_start: usize,
    /// `batchSize`.
    pub batch_size: usize,
}

/// Type of both factors, then that of the result: `MPS_VALID_MATMUL_TYPES` of Metal.jl, which
/// tests each pair on Apple hardware. There is no bfloat16.
const TYPES: [(DataType, DataType); 6] = [
    (DataType::Float32, DataType::Float32),
    (DataType::Float16, DataType::Float16),
    (DataType::Float16, DataType::Float32),
    (DataType::Int8, DataType::Float16),
    (DataType::Int8, DataType::Float32),
    (DataType::Int16, DataType::Float32),
];

impl MatrixMultiplication {
    /// Plans `product` without copying an operand.
    ///
    /// A batch becomes rows where the right factor is shared, an array of matrices where its
    /// strides are those of one, and one call per matrix otherwise.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit.
    pub fn plan(product: &Product<'_>) -> Result<Self, Reject> {
        let (operand_dtype, result_dtype) = check_types(product)?;
        let parts = product.parts(false)?;
        let [left, right, result] = parts.grid.planes;
        let cells = parts.grid.cells()?;
        for cell in &cells {
            let [.., matrix] = &cell.matrices;
            limits::check_reach(result.rows, parts.interior, matrix.descriptor.row_bytes)?;
        }
        Ok(Self {
            transpose_left: left.transposed,
            transpose_right: right.transposed,
            result_rows: result.rows,
            result_columns: result.columns,
            interior_columns: parts.interior,
            alpha: product.alpha,
            beta: product.beta,
            operand_dtype,
            result_dtype,
            calls: cells
                .into_iter()
                .map(MatrixMultiplicationCall::from)
                .collect(),
        })
    }

    /// What a cached kernel object for this plan is found by, on the GPU with this registry ID.
    pub fn key(&self, device: u64) -> KernelKey {
        KernelKey::MatrixMultiplication {
            device,
            transpose_left: self.transpose_left,
            transpose_right: self.transpose_right,
            result_rows: self.result_rows,
            result_columns: self.result_columns,
            interior_columns: self.interior_columns,
            alpha_bits: self.alpha.to_bits(),
            beta_bits: self.beta.to_bits(),
            operand_dtype: self.operand_dtype,
            result_dtype: self.result_dtype,
        }
    }
}

impl From<Cell<3>> for MatrixMultiplicationCall {
    fn from(cell: Cell<3>) -> Self {
        let [left, right, result] = cell.matrices;
        let [left_origin, right_origin, result_origin] = cell.origins;
        Self {
            left,
            right,
            result,
            left_origin,
            right_origin,
            result_origin,
            batch_start: 0,
            batch_size: cell.batch_size,
        }
    }
}

fn check_types(product: &Product<'_>) -> Result<(DataType, DataType), Reject> {
    let operands = [product.left.dtype(), product.right.dtype()];
    let result = product.result.dtype();
    let taken = operands[0] == operands[1] && TYPES.contains(&(operands[0], result));
    let kernel = "MPSMatrixMultiplication";
    let reject = || Reject::Types {
        kernel,
        operands: operands.to_vec(),
        result,
    };
    if taken {
        Ok((operands[0], result))
    } else {
        Err(reject())
    }
}
