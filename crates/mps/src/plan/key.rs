//! Key that a cached kernel object is found by.

use super::{DataType, SoftMaxKind};

/// Everything that is baked into an MPS kernel object when it is made, and the types it is used
/// with: two plans may share an object exactly if their keys are equal.
///
/// Objects must not be used by two threads at once, which is the cache's concern. `device` is the
/// registry ID of the GPU. Scalars count by their bits, so NaN equals itself and 0 differs from -0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KernelKey {
    /// `MPSMatrixMultiplication`; origins and batch are properties set before each encoding.
    MatrixMultiplication {
        /// GPU.
        device: u64,
        /// `transposeLeft`.
        transpose_left: bool,
        /// `transposeRight`.
        transpose_right: bool,
        /// `resultRows`, M.
        result_rows: usize,
        /// `resultColumns`, N.
        result_columns: usize,
        /// `interiorColumns`, K.
        interior_columns: usize,
        /// Bits of `alpha`.
        alpha_bits: u64,
        /// Bits of `beta`.
        beta_bits: u64,
        /// Type of both factors.
        operand_dtype: DataType,
        /// Type of the result.
        result_dtype: DataType,
    },
    /// `MPSNDArrayMatrixMultiplication`; alpha is a property and sizes come with the arrays.
    NdArrayMatrixMultiplication {
        /// GPU.
        device: u64,
        /// `sourceCount`.
        source_count: usize,
        /// Type of the arrays.
        dtype: DataType,
    },
    /// `MPSMatrixSoftMax` or `MPSMatrixLogSoftMax`; sizes, origins and batch are properties.
    MatrixSoftMax {
        /// GPU.
        device: u64,
        /// The class.
        kind: SoftMaxKind,
        /// Type of the matrices.
        dtype: DataType,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{MatrixMultiplication, MatrixSoftMax, NdArrayMatrixMultiplication};
    use std::collections::HashSet;

    fn multiplication() -> MatrixMultiplication {
        MatrixMultiplication {
            transpose_left: false,
            transpose_right: false,
            result_rows: 2,
            result_columns: 3,
            interior_columns: 5,
            alpha: 1.0,
            beta: 0.5,
            operand_dtype: DataType::Float16,
            result_dtype: DataType::Float16,
            calls: vec![],
        }
    }

    #[test]
    fn every_baked_in_value_tells_objects_apart() {
        type Change = fn(&mut MatrixMultiplication);
        let changes: [Change; 11] = [
            |_| {},
            |p| p.transpose_left = true,
            |p| p.transpose_right = true,
            |p| p.result_rows = 7,
            |p| p.result_columns = 7,
            |p| p.interior_columns = 7,
            |p| p.alpha = 1.0 + f64::EPSILON,
            |p| p.beta = 0.0,
            |p| p.beta = -0.0,
            |p| p.operand_dtype = DataType::Int8,
            |p| p.result_dtype = DataType::Float32,
        ];
        let keys = changes.map(|change| {
            let mut plan = multiplication();
            change(&mut plan);
            plan.key(1)
        });
        assert_eq!(HashSet::from(keys).len(), keys.len());
        assert_ne!(multiplication().key(1), multiplication().key(2), "device");
        assert_eq!(multiplication().key(1), multiplication().key(1));
    }

    #[test]
    fn swapped_sizes_are_another_object() {
        let mut swapped = multiplication();
        (swapped.result_rows, swapped.result_columns) = (3, 2);
        assert_ne!(multiplication().key(1), swapped.key(1));
    }

    #[test]
    fn ndarray_objects_are_shared_across_alpha() {
        let plan = |alpha, dtype, source_count| NdArrayMatrixMultiplication {
            source_count,
            alpha,
            dtype,
            calls: vec![],
        };
        let key = plan(1.0, DataType::Float32, 2).key(1);
        assert_eq!(key, plan(2.0, DataType::Float32, 2).key(1));
        assert_ne!(key, plan(1.0, DataType::BFloat16, 2).key(1));
        assert_ne!(key, plan(1.0, DataType::Float32, 3).key(1));
        assert_ne!(key, plan(1.0, DataType::Float32, 2).key(2));
    }

    #[test]
    fn soft_max_objects_differ_by_device_kind_and_type() {
        let plan = |kind, dtype| MatrixSoftMax {
            kind,
            dtype,
            calls: vec![],
        };
        let keys = [
            plan(SoftMaxKind::SoftMax, DataType::Float32).key(1),
            plan(SoftMaxKind::LogSoftMax, DataType::Float32).key(1),
            plan(SoftMaxKind::SoftMax, DataType::Float16).key(1),
            plan(SoftMaxKind::SoftMax, DataType::Float32).key(2),
        ];
        assert_eq!(HashSet::from(keys).len(), keys.len());
    }
}
