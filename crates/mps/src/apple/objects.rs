//! Matrices and arrays over candle's buffers, one to one from their descriptors.

use std::ptr::NonNull;

use candle_core::DType;
use candle_metal_kernels::metal::Buffer;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_metal::MTLOrigin;
use objc2_metal_performance_shaders::{
    MPSDataType, MPSMatrix, MPSMatrixDescriptor, MPSNDArray, MPSNDArrayDescriptor,
};

use super::{Buffers, Error};
use crate::plan::{Matrix, Slot};

/// An `MPSMatrix` over the operand's buffer.
pub fn matrix(matrix: &Matrix, buffers: &Buffers<'_>) -> Result<Retained<MPSMatrix>, Error> {
    let buffer = long_enough(matrix, buffers)?;
    // SAFETY: a plan's matrix keeps the rules of `MPSMatrix.h`, and the buffer is long enough.
    Ok(unsafe {
        let descriptor = MPSMatrixDescriptor::matrixDescriptorWithRows_columns_matrices_rowBytes_matrixBytes_dataType(
            matrix.rows,
            matrix.columns,
            matrix.matrices,
            matrix.row_bytes,
            matrix.matrix_bytes,
            data_type(matrix.dtype),
        );
        MPSMatrix::initWithBuffer_offset_descriptor(
            MPSMatrix::alloc(),
            buffer.as_ref(),
            matrix.offset_bytes,
            &descriptor,
        )
    })
}

/// An `MPSNDArray` over the operand's buffer, with packed rows: without that they would be padded to
/// 16 bytes.
pub fn array(matrix: &Matrix, buffers: &Buffers<'_>) -> Result<Retained<MPSNDArray>, Error> {
    let buffer = long_enough(matrix, buffers)?;
    let sizes = matrix.dimension_sizes();
    // SAFETY: as above; `sizes` has as many elements as is said, and is copied.
    Ok(unsafe {
        let descriptor = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(
            data_type(matrix.dtype),
            sizes.len(),
            NonNull::from(&sizes).cast(),
        );
        descriptor.setPreferPackedRows(true);
        if matrix.transposed {
            descriptor.transposeDimension_withDimension(0, 1);
        }
        MPSNDArray::initWithBuffer_offset_descriptor(
            MPSNDArray::alloc(),
            buffer.as_ref(),
            matrix.offset_bytes,
            &descriptor,
        )
    })
}

/// The objects of all operands of a call.
pub fn all<T>(
    object: impl Fn(&Matrix, &Buffers<'_>) -> Result<T, Error>,
    [left, right, result]: &[Matrix; 3],
    buffers: &Buffers<'_>,
) -> Result<[T; 3], Error> {
    Ok([
        object(left, buffers)?,
        object(right, buffers)?,
        object(result, buffers)?,
    ])
}

/// The operand's buffer, if all of the matrix is in it.
fn long_enough<'a>(matrix: &Matrix, buffers: &Buffers<'a>) -> Result<&'a Buffer, Error> {
    let slot = matrix.slot;
    let buffer = buffer(buffers, slot)?;
    let needed = matrix.offset_bytes.saturating_add(matrix.required_bytes());
    let len = buffer.length();
    match needed <= len {
        true => Ok(buffer),
        false => Err(Error::Short { slot, needed, len }),
    }
}

/// The buffer of an operand.
pub fn buffer<'a>(buffers: &Buffers<'a>, slot: Slot) -> Result<&'a Buffer, Error> {
    let found = buffers.iter().find(|(known, _)| *known == slot);
    found
        .map(|(_, buffer)| *buffer)
        .ok_or(Error::Missing { slot })
}

/// Rows in `x` and columns in `y` (`MPSMatrixSoftMax.h`).
pub fn origin(matrix: &Matrix) -> MTLOrigin {
    MTLOrigin {
        x: 0,
        y: matrix.origin,
        z: 0,
    }
}

/// `dtype` where Apple asks for an `MPSDataType`. Plans are of these three types.
const fn data_type(dtype: DType) -> MPSDataType {
    match dtype {
        DType::F16 => MPSDataType::Float16,
        DType::BF16 => MPSDataType::BFloat16,
        _ => MPSDataType::Float32,
    }
}
