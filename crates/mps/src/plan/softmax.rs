//! Plans for `MPSMatrixSoftMax`.

use candle_core::DType;

use super::axis::{self, Axis, LEFT, RESULT};
use super::{Matrix, Reject, Slot, View, limits};

/// One encoding of an `MPSMatrixSoftMax`: `exp(x) / sum(exp(x))` over the columns of one matrix.
///
/// Objects of one type may be shared: sizes are properties set before each encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixSoftMax {
    /// What is read.
    pub source: Matrix,
    /// What is written, of the same sizes.
    pub result: Matrix,
}

/// `MPSMatrixSoftMax.h`: types must match and be 32-bit or 16-bit floats.
const TYPES: [DType; 2] = [DType::F32, DType::F16];

impl MatrixSoftMax {
    /// Plans a softmax of `source` over its last dimension, without a copy.
    ///
    /// `result` has the same dims and type, and no memory in common with `source`. The other
    /// dimensions are rows, evenly spaced.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit.
    pub fn plan(source: &View, result: &View) -> Result<Self, Reject> {
        check_types(source, result)?;
        limits::check_rank(Slot::Source, source.rank(), 1)?;
        result.check_dims(Slot::Result, source.dims())?;
        result.check_writable()?;
        let axes = axis::of([source, source, result, source], 1);
        let rows = match axes[..] {
            [] => Axis {
                len: 1,
                strides: [0; 4],
            },
            [rows] => rows,
            _ => {
                let (slot, strides) = (Slot::Source, source.strides().to_vec());
                return Err(Reject::Uneven { slot, strides });
            }
        };
        Ok(Self {
            source: matrix(Slot::Source, source, rows.len, rows.strides[LEFT])?,
            result: matrix(Slot::Result, result, rows.len, rows.strides[RESULT])?,
        })
    }
}

/// `rows` rows of the last dimension of `view`.
fn matrix(slot: Slot, view: &View, rows: usize, row_stride: usize) -> Result<Matrix, Reject> {
    let last = view.rank() - 1;
    let (columns, column_stride) = (view.dims()[last], view.strides()[last]);
    if columns > 1 && column_stride != 1 {
        return Err(Reject::StridedRow {
            slot,
            column_stride,
        });
    }
    let matrix = Matrix::stored(slot, view.dtype(), [rows, columns], row_stride)?;
    matrix.check_elements()?;
    matrix.at(view.offset_bytes())
}

fn check_types(source: &View, result: &View) -> Result<(), Reject> {
    let (dtype, result) = (source.dtype(), result.dtype());
    let reject = Reject::Types {
        kernel: "MPSMatrixSoftMax",
        operands: vec![dtype],
        result,
    };
    limits::allow(dtype == result && TYPES.contains(&dtype), reject)
}
