//! Plans for `MPSNDArrayMatrixMultiplication`.

use super::grid::Grid;
use super::limits::{self, HALF_ALIGNMENT_BYTES, MAX_DIMENSION, MAX_ELEMENTS};
use super::plane::Plane;
use super::{DataType, KernelKey, Product, Reject, Slot, batch};

/// One `MPSNDArrayMatrixMultiplication` object and the times it is encoded.
///
/// Two sources and no addend: the kernel with three drops it for a single row on M1 under macOS 26
/// (PyTorch, `Linear.mm`). Arrays have two dimensions: with more, f16 and bf16 differ from run to
/// run on M5 (pytorch#180776).
#[derive(Debug, Clone, PartialEq)]
pub struct NdArrayMatrixMultiplication {
    /// `initWithDevice:sourceCount:`.
    pub source_count: usize,
    /// `alpha`, a property set before each encoding.
    pub alpha: f64,
    /// Type of all arrays.
    pub dtype: DataType,
    /// What to encode; calls write different elements, so their order is free.
    pub calls: Vec<NdArrayMatrixMultiplicationCall>,
}

/// The arrays to pass for one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NdArrayMatrixMultiplicationCall {
    /// First source.
    pub left: NdArray,
    /// Second source.
    pub right: NdArray,
    /// Destination.
    pub result: NdArray,
}

/// The arguments of an `MPSNDArray` over a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NdArray {
    /// The operand whose buffer it is in.
    pub slot: Slot,
    /// `initWithBuffer:offset:descriptor:` (macOS 15).
    pub offset_bytes: usize,
    /// `dimensionSizes`, as stored, the fastest dimension first: columns, then rows.
    pub dimension_sizes: [usize; 2],
    /// `preferPackedRows`. Without it rows are padded to 16 bytes.
    pub packed_rows: bool,
    /// Arguments of `transposeDimension:withDimension:`, if it is to be called.
    pub transpose_dimensions: Option<[usize; 2]>,
    /// Element type.
    pub dtype: DataType,
}

/// What PyTorch multiplies with this kernel.
const TYPES: [DataType; 3] = [DataType::Float32, DataType::Float16, DataType::BFloat16];

/// `MPSNDArray.h` wants the product of the sizes below 2^31; the limit on each sees to that.
const _: () = assert!(MAX_DIMENSION * MAX_DIMENSION <= MAX_ELEMENTS);

impl NdArrayMatrixMultiplication {
    /// Plans `product` without copying an operand.
    ///
    /// A batch becomes rows where the right factor is shared, and one call per matrix otherwise.
    /// Factors must be contiguous or plain transposes.
    ///
    /// # Errors
    ///
    /// A [`Reject`] that names what does not fit; a `beta` other than 0 does not.
    pub fn plan(product: &Product<'_>) -> Result<Self, Reject> {
        let dtype = check_types(product)?;
        if product.beta != 0.0 {
            return Err(Reject::Beta { beta: product.beta });
        }
        let grid = product.parts(true)?.grid;
        grid.planes.iter().try_for_each(check_packed)?;
        limits::check_batch(batch::count(&grid.axes))?;
        let calls = batch::offsets(&grid.axes).map(|offsets| call(&grid, offsets));
        Ok(Self {
            source_count: 2,
            alpha: product.alpha,
            dtype,
            calls: calls.collect::<Result<_, _>>()?,
        })
    }

    /// What a cached kernel object for this plan is found by, on the GPU with this registry ID.
    pub fn key(&self, device: u64) -> KernelKey {
        let (source_count, dtype) = (self.source_count, self.dtype);
        KernelKey::NdArrayMatrixMultiplication {
            device,
            source_count,
            dtype,
        }
    }
}

fn call(grid: &Grid<3>, offsets: [usize; 3]) -> Result<NdArrayMatrixMultiplicationCall, Reject> {
    let array = |i: usize| {
        let plane = &grid.planes[i];
        NdArray::of(plane, grid.offsets_bytes[i] + plane.bytes(offsets[i]))
    };
    Ok(NdArrayMatrixMultiplicationCall {
        left: array(0)?,
        right: array(1)?,
        result: array(2)?,
    })
}

impl NdArray {
    /// Bytes that a buffer must hold from the array's offset on; `usize::MAX` if that is not a
    /// `usize`, which no plan made here comes near.
    pub const fn required_bytes(&self) -> usize {
        let [columns, rows] = self.dimension_sizes;
        let elements = columns.saturating_mul(rows);
        elements.saturating_mul(self.dtype.size_in_bytes())
    }

    fn of(plane: &Plane, offset_bytes: usize) -> Result<Self, Reject> {
        let (slot, dtype, multiple) = (plane.slot, plane.dtype, HALF_ALIGNMENT_BYTES);
        if dtype.is_half() && !offset_bytes.is_multiple_of(multiple) {
            return Err(Reject::OffsetAlignment {
                slot,
                offset_bytes,
                multiple,
            });
        }
        Ok(Self {
            slot,
            offset_bytes,
            dimension_sizes: [plane.columns, plane.rows],
            packed_rows: true,
            transpose_dimensions: plane.transposed.then_some([0, 1]),
            dtype,
        })
    }
}

fn check_packed(plane: &Plane) -> Result<(), Reject> {
    let Plane {
        slot,
        row_stride,
        columns,
        ..
    } = *plane;
    if plane.is_packed() {
        Ok(())
    } else {
        Err(Reject::NotPacked {
            slot,
            row_stride,
            columns,
        })
    }
}

fn check_types(product: &Product<'_>) -> Result<DataType, Reject> {
    let operands = [product.left.dtype(), product.right.dtype()];
    let result = product.result.dtype();
    let taken = operands == [result, result] && TYPES.contains(&result);
    let kernel = "MPSNDArrayMatrixMultiplication";
    let reject = || Reject::Types {
        kernel,
        operands: operands.to_vec(),
        result,
    };
    if taken { Ok(result) } else { Err(reject()) }
}
