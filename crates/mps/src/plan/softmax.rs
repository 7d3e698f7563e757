//! Plans for `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`.

use super::grid::{Cell, Grid};
use super::plane::Plane;
use super::{DataType, KernelKey, Matrix, Origin, Reject, Slot, View, limits};

/// One of the two classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SoftMaxKind {
    /// `MPSMatrixSoftMax`: `exp(x) / sum(exp(x))`.
    SoftMax,
    /// `MPSMatrixLogSoftMax`: `x - ln(sum(exp(x)))`.
    LogSoftMax,
}

/// One soft-max object and the times it is encoded; sums run over the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixSoftMax {
    /// The class.
    pub kind: SoftMaxKind,
    /// Type of source and result.
    pub dtype: DataType,
    /// What to encode; calls write different elements, so their order is free.
    pub calls: Vec<MatrixSoftMaxCall>,
}

/// The properties to set, and the matrices to pass, for one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixSoftMaxCall {
    /// What is read.
    pub source: Matrix,
    /// What is written.
    pub result: Matrix,
    /// `sourceMatrixOrigin`.
    pub source_origin: Origin,
    /// `resultMatrixOrigin`.
    pub result_origin: Origin,
    /// `sourceRows`.
    pub source_rows: usize,
    /// `sourceColumns`.
    pub source_columns: usize,
    /// `batchStart`, the same for both.
    pub batch_start: usize,
    /// `batchSize`.
    pub batch_size: usize,
}

impl MatrixSoftMax {
    /// Plans a soft-max of `source` over its last dimension, without a copy.
    ///
    /// `result` has the same dims and type, and no memory in common with `source`. The other
    /// dimensions become rows, then arrays of matrices, then calls, as their strides allow.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit.
    pub fn plan(kind: SoftMaxKind, source: &View, result: &View) -> Result<Self, Reject> {
        let dtype = check_types(kind, source, result)?;
        limits::check_rank(Slot::Source, source.rank(), 1)?;
        if source.dims() != result.dims() {
            let (expected, got) = (source.dims().to_vec(), result.dims().to_vec());
            return Err(Reject::Shape {
                slot: Slot::Result,
                expected,
                got,
            });
        }
        result.check_writable()?;
        let planes = [
            Plane::of_row(Slot::Source, source)?,
            Plane::of_row(Slot::Result, result)?,
        ];
        let mut grid = Grid::new([source, result], planes, 1);
        fold_rows(&mut grid);
        let [Plane { rows, columns, .. }, _] = grid.planes;
        let cells = grid.cells()?.into_iter();
        let calls = cells
            .map(|cell| MatrixSoftMaxCall::new(&cell, rows, columns))
            .collect();
        Ok(Self { kind, dtype, calls })
    }

    /// What a cached kernel object for this plan is found by, on the GPU with this registry ID.
    pub fn key(&self, device: u64) -> KernelKey {
        KernelKey::MatrixSoftMax {
            device,
            kind: self.kind,
            dtype: self.dtype,
        }
    }
}

/// Turns the finest axis that has room for a row in every step into the rows.
fn fold_rows(grid: &mut Grid<2>) {
    let [source, result] = grid.planes;
    let folded = grid
        .axes
        .iter()
        .enumerate()
        .rev()
        .find_map(|(index, axis)| {
            let [source_stride, result_stride] = axis.strides;
            let planes = [
                source.fold(axis.len, source_stride)?,
                result.fold(axis.len, result_stride)?,
            ];
            Some((index, planes))
        });
    if let Some((index, planes)) = folded {
        grid.axes.remove(index);
        grid.planes = planes;
    }
}

impl MatrixSoftMaxCall {
    fn new(cell: &Cell<2>, source_rows: usize, source_columns: usize) -> Self {
        let [source, result] = cell.matrices;
        let [source_origin, result_origin] = cell.origins;
        Self {
            source,
            result,
            source_origin,
            result_origin,
            source_rows,
            source_columns,
            batch_start: 0,
            batch_size: cell.batch_size,
        }
    }
}

/// `MPSMatrixSoftMax.h`: types must match and be 32-bit or 16-bit floats.
fn check_types(kind: SoftMaxKind, source: &View, result: &View) -> Result<DataType, Reject> {
    let (dtype, result) = (source.dtype(), result.dtype());
    let taken = dtype == result && matches!(dtype, DataType::Float32 | DataType::Float16);
    let reject = || Reject::Types {
        kernel: kind.class(),
        operands: vec![dtype],
        result,
    };
    if taken { Ok(dtype) } else { Err(reject()) }
}

impl SoftMaxKind {
    /// Name of the MPS class.
    pub const fn class(self) -> &'static str {
        match self {
            Self::SoftMax => "MPSMatrixSoftMax",
            Self::LogSoftMax => "MPSMatrixLogSoftMax",
        }
    }
}
