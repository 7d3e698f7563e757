//! `MPSMatrixDescriptor`.

use super::dtype::width;
use crate::object::make;
use crate::rules::{Rule, broken};
use objc2::rc::Retained;
use objc2::runtime::NSObject;
use objc2::{DefinedClass, define_class};
use objc2_foundation::NSObjectProtocol;
use objc2_metal_performance_shaders::MPSDataType;

const NAME: &str = "MPSMatrixDescriptor";

/// What `rowBytesForColumns:dataType:` recommends rows to be a multiple of.
const ROW_ALIGNMENT: usize = 16;

#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub rows: usize,
    pub columns: usize,
    pub matrices: usize,
    pub row_bytes: usize,
    pub matrix_bytes: usize,
    pub dtype: MPSDataType,
}

impl Shape {
    pub fn width(&self) -> usize {
        width(self.dtype, NAME)
    }

    /// Bytes from the first element to the last of so many matrices.
    pub fn span(&self, matrices: usize) -> usize {
        (matrices - 1) * self.matrix_bytes + (self.rows - 1) * self.row_bytes + self.columns * self.width()
    }
}

define_class!(
    #[unsafe(super(NSObject))]
    #[name = "MPSMatrixDescriptor"]
    #[ivars = Shape]
    pub struct SoftMatrixDescriptor;

    unsafe impl NSObjectProtocol for SoftMatrixDescriptor {}

    impl SoftMatrixDescriptor {
        #[unsafe(method_id(matrixDescriptorWithRows:columns:rowBytes:dataType:))]
        fn one(rows: usize, columns: usize, row_bytes: usize, dtype: MPSDataType) -> Retained<Self> {
            checked(Shape { rows, columns, matrices: 1, row_bytes, matrix_bytes: rows * row_bytes, dtype })
        }

        #[unsafe(method_id(matrixDescriptorWithDimensions:columns:rowBytes:dataType:))]
        fn one_of_dimensions(rows: usize, columns: usize, row_bytes: usize, dtype: MPSDataType) -> Retained<Self> {
            checked(Shape { rows, columns, matrices: 1, row_bytes, matrix_bytes: rows * row_bytes, dtype })
        }

        #[unsafe(method_id(matrixDescriptorWithRows:columns:matrices:rowBytes:matrixBytes:dataType:))]
        fn many(rows: usize, columns: usize, matrices: usize, row_bytes: usize, matrix_bytes: usize, dtype: MPSDataType) -> Retained<Self> {
            checked(Shape { rows, columns, matrices, row_bytes, matrix_bytes, dtype })
        }

        #[unsafe(method(rowBytesForColumns:dataType:))]
        fn row_bytes_for(columns: usize, dtype: MPSDataType) -> usize {
            (columns * width(dtype, NAME)).next_multiple_of(ROW_ALIGNMENT)
        }

        #[unsafe(method(rows))]
        fn rows(&self) -> usize {
            self.ivars().rows
        }

        #[unsafe(method(columns))]
        fn columns(&self) -> usize {
            self.ivars().columns
        }

        #[unsafe(method(matrices))]
        fn matrices(&self) -> usize {
            self.ivars().matrices
        }

        #[unsafe(method(rowBytes))]
        fn row_bytes(&self) -> usize {
            self.ivars().row_bytes
        }

        #[unsafe(method(matrixBytes))]
        fn matrix_bytes(&self) -> usize {
            self.ivars().matrix_bytes
        }

        #[unsafe(method(dataType))]
        fn data_type(&self) -> MPSDataType {
            self.ivars().dtype
        }
    }
);

fn checked(s: Shape) -> Retained<SoftMatrixDescriptor> {
    let w = s.width();
    if s.rows * s.columns * s.matrices == 0 {
        broken(Rule::EmptyMatrix, NAME, format!("{} matrices of {}x{}", s.matrices, s.rows, s.columns));
    }
    if s.row_bytes < s.columns * w || !s.row_bytes.is_multiple_of(w) {
        broken(Rule::RowBytes, NAME, format!("{} for {} columns of {w} bytes", s.row_bytes, s.columns));
    }
    if s.matrices > 1 && (s.matrix_bytes < s.rows * s.row_bytes || !s.matrix_bytes.is_multiple_of(s.row_bytes)) {
        broken(Rule::MatrixBytes, NAME, format!("{} for {} rows of {} bytes", s.matrix_bytes, s.rows, s.row_bytes));
    }
    make(s)
}
