//! Every limit, at it and one past it.

use candle_core::DType;
use metal_candle_mps::plan::limits::{
    HALF_ALIGNMENT_BYTES, MAX_BATCH, MAX_DIMENSION, MAX_ELEMENTS, MAX_RANK, MAX_REACH_BYTES,
    REACH_MARGIN_ROWS,
};
use metal_candle_mps::plan::{
    Gemm, MatrixMultiplication, MatrixSoftMax, NdArrayMultiplication, Reject, Slot, View,
};

const F32: DType = DType::F32;

fn strided(dtype: DType, offset_bytes: usize, dims: &[usize], strides: &[usize]) -> View {
    View::new(dtype, offset_bytes, dims, strides, isize::MAX as usize).expect("in bounds")
}

fn contiguous(dims: &[usize]) -> View {
    let strides: Vec<usize> = (0..dims.len())
        .map(|d| dims[d + 1..].iter().product())
        .collect();
    strided(F32, 0, dims, &strides)
}

/// The reject of both kernels for a product, if there is one.
fn rejects(left: &View, right: &View, result: &View) -> [Option<Reject>; 2] {
    let gemm = Gemm::new(left, right, result);
    let ndarray = NdArrayMultiplication::plan(&gemm).err();
    [MatrixMultiplication::plan(&gemm).err(), ndarray]
}

fn sized([m, n, k]: [usize; 3]) -> [Option<Reject>; 2] {
    rejects(
        &contiguous(&[m, k]),
        &contiguous(&[k, n]),
        &contiguous(&[m, n]),
    )
}

#[test]
fn values() {
    assert_eq!((MAX_DIMENSION, MAX_BATCH, MAX_RANK), (32_766, 65_535, 5));
    assert_eq!(
        (MAX_REACH_BYTES, MAX_ELEMENTS),
        (2_147_483_647, 2_147_483_647)
    );
    assert_eq!((HALF_ALIGNMENT_BYTES, REACH_MARGIN_ROWS), (16, 128));
}

#[test]
fn dimensions() {
    let limit = MAX_DIMENSION;
    for (i, name) in ["result rows", "result columns", "interior columns"]
        .into_iter()
        .enumerate()
    {
        let mut sizes = [1; 3];
        sizes[i] = limit;
        assert_eq!(sized(sizes), [None, None], "{name}");
        sizes[i] = limit + 1;
        let value = limit + 1;
        let reject = Reject::Over { name, value, limit };
        assert_eq!(sized(sizes), [Some(reject.clone()), Some(reject)]);
    }
}

#[test]
fn reach_of_the_result() {
    // Rows of 65536 B: 32767 of them end below 2^31.
    let (columns, interior, limit) = (16_384, 1, MAX_REACH_BYTES);
    let rows = 32_767 - 2 - REACH_MARGIN_ROWS;
    assert_eq!(sized([rows, columns, interior]), [None, None]);
    let (rows, row_bytes, bytes) = (rows + 1, 65_536, 1 << 31);
    let reject = Reject::Reach {
        rows,
        interior,
        row_bytes,
        bytes,
        limit,
    };
    assert_eq!(
        sized([rows, columns, interior]),
        [Some(reject.clone()), Some(reject)]
    );
}

#[test]
fn reported_products_with_bad_rows_are_rejected() {
    let rejected = |sizes| sized(sizes).map(|reject| matches!(reject, Some(Reject::Reach { .. })));
    assert_eq!(rejected([13_000; 3]), [false, false]);
    assert_eq!(rejected([13_500; 3]), [true, true]);
    for interior in [64, 128, 256, 512, 1024] {
        let first_bad_row = 23_104 - 2 * interior;
        assert_eq!(
            rejected([first_bad_row + 1, 23_170, interior]),
            [true, true],
            "{interior}"
        );
    }
}

#[test]
fn reach_counts_gaps_between_rows() {
    let (left, right) = (contiguous(&[16, 16]), contiguous(&[16, 16]));
    let product = |stride| rejects(&left, &right, &strided(F32, 0, &[16, 16], &[stride, 1]));
    // (16 + 32 + margin) * stride * 4 B
    let stride = MAX_REACH_BYTES / ((48 + REACH_MARGIN_ROWS) * 4);
    assert_eq!(product(stride)[0], None);
    assert!(matches!(product(stride + 1)[0], Some(Reject::Reach { .. })));
}

#[test]
fn reach_counts_the_stride_of_single_rows() {
    let (left, right) = (contiguous(&[2, 1, 16]), contiguous(&[2, 16, 4]));
    let product =
        |stride| rejects(&left, &right, &strided(F32, 0, &[2, 1, 4], &[stride, 4, 1]))[0].clone();
    // (1 + 32 + margin) * stride * 4 B
    let stride = MAX_REACH_BYTES / ((33 + REACH_MARGIN_ROWS) * 4);
    assert_eq!(product(stride), None);
    assert!(matches!(
        product(stride + 1),
        Some(Reject::Reach { rows: 1, .. })
    ));
}

#[test]
fn elements_from_first_to_last() {
    let (slot, limit) = (Slot::Left, MAX_ELEMENTS);
    let product = |stride| {
        let left = strided(F32, 0, &[2, 3], &[stride, 1]);
        let [reject, _] = rejects(&left, &contiguous(&[3, 4]), &contiguous(&[2, 4]));
        reject
    };
    assert_eq!(product(limit - 3), None);
    assert_eq!(
        product(limit - 2),
        Some(Reject::Elements {
            slot,
            elements: limit + 1,
            limit
        })
    );
}

#[test]
fn elements_of_a_batch() {
    let product = |batch| {
        let [left, right, result] = [[16, 1], [1, 8192], [16, 8192]]
            .map(|[rows, columns]| contiguous(&[batch, rows, columns]));
        rejects(&left, &right, &result)[0].clone()
    };
    assert_eq!(product(16_383), None);
    let (slot, elements, limit) = (Slot::Result, 1 << 31, MAX_ELEMENTS);
    assert_eq!(
        product(16_384),
        Some(Reject::Elements {
            slot,
            elements,
            limit
        })
    );
}

#[test]
fn elements_of_a_soft_max() {
    let (slot, limit) = (Slot::Source, MAX_ELEMENTS);
    let soft_max = |stride| {
        let source = strided(F32, 0, &[2, 3], &[stride, 1]);
        MatrixSoftMax::plan(&source, &contiguous(&[2, 3])).err()
    };
    assert_eq!(soft_max(limit - 3), None);
    assert_eq!(
        soft_max(limit - 2),
        Some(Reject::Elements {
            slot,
            elements: limit + 1,
            limit
        })
    );
}

#[test]
fn matrices_of_a_batch() {
    let limit = MAX_BATCH;
    let matrices = |batch: usize| {
        let [left, right, result] = [(); 3].map(|()| contiguous(&[batch, 2, 2]));
        rejects(&left, &right, &result)
    };
    let reject = Reject::Over {
        name: "matrices of the batch",
        value: limit + 1,
        limit,
    };
    assert_eq!(matrices(limit), [None, None]);
    let rejected = [Some(reject.clone()), Some(reject)];
    assert_eq!(matrices(limit + 1), rejected);
}

#[test]
fn ranks() {
    let product = |rank: usize| {
        let views = [(); 3].map(|()| contiguous(&vec![2; rank]));
        rejects(&views[0], &views[1], &views[2])[0].clone()
    };
    let reject = |slot, rank, min| Some(Reject::Rank { slot, rank, min });
    assert_eq!(product(1), reject(Slot::Left, 1, 2));
    assert_eq!([2, 3, 4, 5].map(product), [None, None, None, None]);
    assert_eq!(product(6), reject(Slot::Left, 6, 2));
    let soft_max = |rank: usize| {
        let view = contiguous(&vec![2; rank]);
        MatrixSoftMax::plan(&view, &view).err()
    };
    assert_eq!(soft_max(0), reject(Slot::Source, 0, 1));
    assert_eq!(
        [1, 2, 3, 4, 5].map(soft_max),
        [None, None, None, None, None]
    );
    assert_eq!(soft_max(6), reject(Slot::Source, 6, 1));
}

#[test]
fn rows_of_half_floats() {
    let (slot, multiple) = (Slot::Left, HALF_ALIGNMENT_BYTES);
    for dtype in [DType::F16, DType::BF16] {
        let square = strided(dtype, 0, &[8, 8], &[8, 1]);
        let rejected = |stride| {
            let left = strided(dtype, 0, &[8, 8], &[stride, 1]);
            let [matrix, ndarray] = rejects(&left, &square, &square);
            if dtype == DType::BF16 {
                ndarray
            } else {
                matrix
            }
        };
        assert_eq!(rejected(8), None);
        assert_eq!(
            rejected(9),
            Some(Reject::Alignment {
                slot,
                what: "row stride",
                bytes: 18,
                multiple
            })
        );
    }
}

#[test]
fn offsets_of_half_arrays() {
    let (slot, multiple) = (Slot::Right, HALF_ALIGNMENT_BYTES);
    let square = strided(DType::BF16, 0, &[8, 8], &[8, 1]);
    let at = |offset_bytes| {
        let right = strided(DType::BF16, offset_bytes, &[8, 8], &[8, 1]);
        rejects(&square, &right, &square)[1].clone()
    };
    assert_eq!(at(16), None);
    assert_eq!(
        at(18),
        Some(Reject::Alignment {
            slot,
            what: "offset",
            bytes: 18,
            multiple
        })
    );
}

#[test]
fn types() {
    use DType::{BF16, F16, I16, I32};
    let taken = |left, right, result| {
        let view = |dtype| strided(dtype, 0, &[8, 8], &[8, 1]);
        rejects(&view(left), &view(right), &view(result)).map(|reject| reject.is_none())
    };
    for (operand, result, kernels) in [
        (F32, F32, [true, true]),
        (F16, F16, [true, true]),
        (BF16, BF16, [false, true]),
        (F16, F32, [false, false]),
        (BF16, F32, [false, false]),
        (F32, F16, [false, false]),
        (I16, F32, [false, false]),
        (I32, I32, [false, false]),
    ] {
        let got = taken(operand, operand, result);
        assert_eq!(got, kernels, "{operand:?} to {result:?}");
    }
    assert_eq!(taken(F32, F16, F32), [false, false]);
    let half = strided(BF16, 0, &[8], &[1]);
    let reject = Reject::Types {
        kernel: "MPSMatrixSoftMax",
        operands: vec![BF16],
        result: BF16,
    };
    assert_eq!(MatrixSoftMax::plan(&half, &half), Err(reject));
}

#[test]
fn messages_name_value_and_limit() {
    let over = |name, value, limit| Reject::Over { name, value, limit };
    for (reject, message) in [
        (
            over("interior columns", 32_767, MAX_DIMENSION),
            "interior columns 32767 is over 32766",
        ),
        (
            Reject::Alignment {
                slot: Slot::Left,
                what: "row stride",
                bytes: 18,
                multiple: 16,
            },
            "left: row stride 18 B is not a multiple of 16 B",
        ),
        (
            Reject::Types {
                kernel: "K",
                operands: vec![F32, DType::U8],
                result: F32,
            },
            "K does not take [F32, U8] to F32",
        ),
    ] {
        assert_eq!(reject.to_string(), message);
    }
}
