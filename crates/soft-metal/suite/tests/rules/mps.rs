//! Matrices and arrays.

use crate::common::*;
use objc2::AnyThread;
use objc2_metal_performance_shaders::*;
use soft_metal::Rule;
use std::ptr::NonNull;

fn matrix_descriptor(rows: usize, columns: usize, row_bytes: usize, dtype: MPSDataType) -> String {
    message(|| unsafe {
        MPSMatrixDescriptor::matrixDescriptorWithRows_columns_rowBytes_dataType(rows, columns, row_bytes, dtype);
    })
}

rules! {
    an_empty_matrix breaks EmptyMatrix: |_| matrix_descriptor(0, 4, 16, MPSDataType::Float32);
    short_rows breaks RowBytes: |_| matrix_descriptor(2, 4, 12, MPSDataType::Float32);
    a_type_that_is_no_float breaks DataType: |_| matrix_descriptor(2, 4, 16, MPSDataType::Int8);
    matrices_that_overlap breaks MatrixBytes: |_| message(|| unsafe {
        let f = MPSDataType::Float32;
        MPSMatrixDescriptor::matrixDescriptorWithRows_columns_matrices_rowBytes_matrixBytes_dataType(2, 4, 3, 16, 16, f);
    });
    a_matrix_past_its_buffer breaks MatrixRange: |gpu| {
        let b = gpu.buffer(&[0f32; 3]);
        message(|| drop(matrix(&b, 2, 2)))
    };
    a_product_of_other_sizes breaks OperandShape: |gpu| {
        let m = matrix(&gpu.buffer(&[0f32; 4]), 2, 2);
        let kernel = multiplication(gpu, false, false, [2, 2, 3], 1.0, 0.0);
        let c = gpu.commands();
        message(|| unsafe { kernel.encodeToCommandBuffer_leftMatrix_rightMatrix_resultMatrix(&c, &m, &m, &m) })
    };
    an_array_past_its_buffer breaks ArrayRange: |gpu| {
        let (b, sizes) = (gpu.buffer(&[0f32; 6]), [3usize, 2]);
        message(|| unsafe {
            let sizes = NonNull::from(&sizes).cast();
            let d = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(MPSDataType::Float32, 2, sizes);
            MPSNDArray::initWithBuffer_offset_descriptor(MPSNDArray::alloc(), &b, 0, &d); // rows of 16 bytes
        })
    };
    a_slice_past_its_dimension breaks ArrayDimension: |_| {
        let sizes = [3usize, 2];
        message(|| unsafe {
            let sizes = NonNull::from(&sizes).cast();
            let d = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(MPSDataType::Float32, 2, sizes);
            d.sliceDimension_withSubrange(0, MPSDimensionSlice { start: 1, length: 3 });
        })
    };
}
