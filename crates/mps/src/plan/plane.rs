//! The last two dimensions of a view as one stored matrix.

use super::limits::HALF_ALIGNMENT_BYTES;
use super::{DataType, Matrix, MatrixDescriptor, Origin, Reject, Slot, View};

/// One matrix as memory holds it: `rows` runs of `columns` neighbours, `row_stride` elements apart.
///
/// A single row has no stride of its own; it carries its length, and any stride may replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plane {
    pub slot: Slot,
    pub dtype: DataType,
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    /// The view is the transpose of what is stored.
    pub transposed: bool,
}

impl Plane {
    /// The last two dimensions of `view`, which has at least two, either way round.
    ///
    /// A single row or column can be taken both ways; as it is comes before transposed.
    pub fn of(slot: Slot, view: &View) -> Result<Self, Reject> {
        match (Self::upright(slot, view), Self::turned(slot, view)) {
            (Some(Ok(plane)), _) | (_, Some(Ok(plane))) => Ok(plane),
            (Some(Err(reject)), _) | (None, Some(Err(reject))) => Err(reject),
            (None, None) => {
                let [_, [row_stride, column_stride]] = view.last_two();
                Err(Reject::Strided {
                    slot,
                    row_stride,
                    column_stride,
                })
            }
        }
    }

    /// The last two dimensions of `view` as they are, if rows are contiguous.
    pub fn upright(slot: Slot, view: &View) -> Option<Result<Self, Reject>> {
        let [[rows, columns], [row_stride, column_stride]] = view.last_two();
        let dtype = view.dtype();
        let plane = Self {
            slot,
            dtype,
            rows,
            columns,
            row_stride,
            transposed: false,
        };
        (columns == 1 || column_stride == 1).then(|| plane.checked())
    }

    /// The last two dimensions of `view` transposed, if columns are contiguous.
    fn turned(slot: Slot, view: &View) -> Option<Result<Self, Reject>> {
        let [[columns, rows], [column_stride, row_stride]] = view.last_two();
        let dtype = view.dtype();
        let plane = Self {
            slot,
            dtype,
            rows,
            columns,
            row_stride,
            transposed: true,
        };
        (columns == 1 || column_stride == 1).then(|| plane.checked())
    }

    /// The last dimension of `view` as a single row; the view has at least one dimension.
    pub fn of_row(slot: Slot, view: &View) -> Result<Self, Reject> {
        let last = view.rank() - 1;
        let (columns, column_stride) = (view.dims()[last], view.strides()[last]);
        if columns > 1 && column_stride != 1 {
            return Err(Reject::StridedRow {
                slot,
                column_stride,
            });
        }
        let dtype = view.dtype();
        Ok(Self {
            slot,
            dtype,
            rows: 1,
            columns,
            row_stride: columns,
            transposed: false,
        })
    }

    fn checked(mut self) -> Result<Self, Reject> {
        let Self {
            slot,
            rows,
            columns,
            row_stride,
            ..
        } = self;
        if rows == 1 {
            self.row_stride = columns;
        } else if row_stride < columns {
            return Err(Reject::RowsOverlap {
                slot,
                row_stride,
                columns,
            });
        } else if !self.aligned(row_stride) {
            let (row_bytes, multiple) = (self.bytes(row_stride), HALF_ALIGNMENT_BYTES);
            return Err(Reject::RowAlignment {
                slot,
                row_bytes,
                multiple,
            });
        }
        Ok(self)
    }

    pub fn bytes(&self, elements: usize) -> usize {
        elements * self.dtype.size_in_bytes()
    }

    /// `true` if rows may be `stride` elements apart.
    fn aligned(&self, stride: usize) -> bool {
        !self.dtype.is_half() || self.bytes(stride).is_multiple_of(HALF_ALIGNMENT_BYTES)
    }

    pub fn is_packed(&self) -> bool {
        self.row_stride == self.columns
    }

    /// `len` of these planes, `stride` elements apart, as one plane with `len` times the rows.
    pub fn fold(&self, len: usize, stride: usize) -> Option<Self> {
        let row_stride = self.row_stride_within(stride)?;
        let regular = !self.transposed && stride == self.rows * row_stride;
        let rows = len * self.rows;
        regular.then_some(Self {
            rows,
            row_stride,
            ..*self
        })
    }

    /// `len` of these planes, `stride` elements apart, as one array of matrices.
    pub fn stack(&self, len: usize, stride: usize) -> Option<MatrixDescriptor> {
        let row_stride = self.row_stride_within(stride)?;
        let regular = stride.is_multiple_of(row_stride) && stride >= self.rows * row_stride;
        regular.then(|| self.descriptor(len, row_stride, stride))
    }

    /// The row stride that goes with planes `stride` elements apart, if rows fit into it.
    fn row_stride_within(&self, stride: usize) -> Option<usize> {
        let row_stride = if self.rows == 1 {
            stride
        } else {
            self.row_stride
        };
        (row_stride >= self.columns && self.aligned(row_stride)).then_some(row_stride)
    }

    /// This plane alone.
    pub fn single(&self) -> MatrixDescriptor {
        self.descriptor(1, self.row_stride, self.rows * self.row_stride)
    }

    fn descriptor(&self, matrices: usize, row_stride: usize, stride: usize) -> MatrixDescriptor {
        MatrixDescriptor {
            rows: self.rows,
            columns: self.columns,
            matrices,
            row_bytes: self.bytes(row_stride),
            matrix_bytes: self.bytes(stride),
            dtype: self.dtype,
        }
    }

    /// `descriptor`, made by this plane, at `offset_bytes`.
    ///
    /// An offset of 16-bit floats that is off its alignment is rounded down, and the columns that
    /// this adds in front are skipped by the origin: Apple documents origins to the element and
    /// says nothing about offsets. How an origin counts in a transposed matrix is not documented,
    /// so those are rejected.
    pub fn place(
        &self,
        offset_bytes: usize,
        descriptor: MatrixDescriptor,
    ) -> Result<(Matrix, Origin), Reject> {
        let (slot, multiple) = (self.slot, HALF_ALIGNMENT_BYTES);
        let excess_bytes = offset_bytes % multiple;
        if excess_bytes == 0 || !self.dtype.is_half() {
            return Ok((
                Matrix {
                    slot,
                    offset_bytes,
                    descriptor,
                },
                Origin::default(),
            ));
        }
        let column = excess_bytes / self.dtype.size_in_bytes();
        let reject = Reject::OffsetAlignment {
            slot,
            offset_bytes,
            multiple,
        };
        let descriptor = self.widen(descriptor, column).ok_or(reject)?;
        let offset_bytes = offset_bytes - excess_bytes;
        Ok((
            Matrix {
                slot,
                offset_bytes,
                descriptor,
            },
            Origin { row: 0, column },
        ))
    }

    /// `descriptor` with `extra` columns in front, if its rows have room for them.
    fn widen(&self, mut descriptor: MatrixDescriptor, extra: usize) -> Option<MatrixDescriptor> {
        descriptor.columns += extra;
        let widened_bytes = self.bytes(descriptor.columns);
        if descriptor.rows * descriptor.matrices == 1 {
            (descriptor.row_bytes, descriptor.matrix_bytes) = (widened_bytes, widened_bytes);
        }
        (!self.transposed && widened_bytes <= descriptor.row_bytes).then_some(descriptor)
    }
}
