//! Matrices and arrays over candle's buffers, one to one from their descriptors.

use std::ptr::NonNull;

use candle_metal_kernels::metal::Buffer;
use objc2::AnyThread;
use objc2::rc::Retained;
use objc2_metal::MTLOrigin;
use objc2_metal_performance_shaders::{
    MPSMatrix, MPSMatrixDescriptor, MPSNDArray, MPSNDArrayDescriptor,
};

use super::{Buffers, Error};
use crate::plan::{Matrix, NdArray, Origin, Slot};

/// An `MPSMatrix` over the operand's buffer.
pub fn matrix(matrix: &Matrix, buffers: &Buffers<'_>) -> Result<Retained<MPSMatrix>, Error> {
    let (offset, d) = (matrix.offset_bytes, &matrix.descriptor);
    let buffer = long_enough(matrix.slot, offset, d.required_bytes(), buffers)?;
    // SAFETY: a plan's descriptor keeps the rules of `MPSMatrix.h`, and the buffer is long enough.
    Ok(unsafe {
        let descriptor = MPSMatrixDescriptor::matrixDescriptorWithRows_columns_matrices_rowBytes_matrixBytes_dataType(
            d.rows,
            d.columns,
            d.matrices,
            d.row_bytes,
            d.matrix_bytes,
            d.dtype.mps(),
        );
        MPSMatrix::initWithBuffer_offset_descriptor(
            MPSMatrix::alloc(),
            buffer.as_ref(),
            offset,
            &descriptor,
        )
    })
}

/// An `MPSNDArray` over the operand's buffer.
pub fn array(array: &NdArray, buffers: &Buffers<'_>) -> Result<Retained<MPSNDArray>, Error> {
    let buffer = long_enough(
        array.slot,
        array.offset_bytes,
        array.required_bytes(),
        buffers,
    )?;
    let sizes = &array.dimension_sizes;
    // SAFETY: as above; `sizes` has as many elements as is said, and is copied.
    Ok(unsafe {
        let descriptor = MPSNDArrayDescriptor::descriptorWithDataType_dimensionCount_dimensionSizes(
            array.dtype.mps(),
            sizes.len(),
            NonNull::from(sizes).cast(),
        );
        descriptor.setPreferPackedRows(array.packed_rows);
        if let Some([first, second]) = array.transpose_dimensions {
            descriptor.transposeDimension_withDimension(first, second);
        }
        MPSNDArray::initWithBuffer_offset_descriptor(
            MPSNDArray::alloc(),
            buffer.as_ref(),
            array.offset_bytes,
            &descriptor,
        )
    })
}

/// The operand's buffer, if what is needed from `offset` on is in it.
fn long_enough<'a>(
    slot: Slot,
    offset: usize,
    required: usize,
    buffers: &Buffers<'a>,
) -> Result<&'a Buffer, Error> {
    let buffer = buffers.get(slot)?;
    let (needed, len) = (offset.saturating_add(required), buffer.length());
    match needed <= len {
        true => Ok(buffer),
        false => Err(Error::Short { slot, needed, len }),
    }
}

/// Rows in `x` and columns in `y` (`MPSMatrixSoftMax.h`).
pub fn origin(origin: Origin) -> MTLOrigin {
    MTLOrigin {
        x: origin.row,
        y: origin.column,
        z: 0,
    }
}
