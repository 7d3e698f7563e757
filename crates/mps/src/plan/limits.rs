//! Limits: where MPS is known to be wrong, or to abort, and how far plans stay away from it.
//!
//! The reports are about particular GPUs and systems; the limits hold everywhere, since a plan
//! does not know where it will run. What is over a limit is a [`Reject`], never a smaller answer.

use super::{Reject, Slot};

/// Most rows, columns and interior columns of a product.
///
/// An interior of 32767 and more reads past both operands on M1 and M2 (pytorch#195163, Apple
/// FB24518264; the kernel is `NDArrayMatrixMultiplyNNA14`). Results with more than 32768 rows or
/// columns were wrong on earlier systems (pytorch#116769, pytorch#111634).
pub const MAX_DIMENSION: usize = 32_766;

/// Most bytes in `(result rows + 2 * interior columns + margin) * result row bytes`.
///
/// On M1 and M2 a band of 32 rows turns into NaN where a signed 32-bit offset of about that form
/// passes 2^31 (Metal.jl#381, `MPSMatrixMultiplication`: of f32 squares 13000 is right and 13500
/// is not). `MPSMatrixMultiplication` hands over to the NDArray kernel on some GPUs, so both are
/// held to it.
pub const MAX_REACH_BYTES: usize = (1 << 31) - 1;

/// Rows added to the reach.
///
/// Metal.jl#381 puts the first bad row of a result 23170 wide at `23104 - 2 * interior columns`,
/// 67 rows short of 2^31 bytes; this is twice a tile of 64 rows.
pub const REACH_MARGIN_ROWS: usize = 128;

/// Most elements from the first to the last of one matrix array.
///
/// `MPSNDArray.h` asks for a product of dimensions below 2^31; more is an abort (pytorch#84039) or
/// wraps around (pytorch#197636).
pub const MAX_ELEMENTS: usize = (1 << 31) - 1;

/// Most matrices in a batch.
///
/// The NDArray kernel with an addend keeps 16 bits of the batch index (pytorch#189495).
pub const MAX_BATCH: usize = 65_535;

/// What offsets and row strides of 16-bit floats are multiples of, in bytes.
///
/// No header states an alignment beyond that of the element, and no report was found; this is the
/// width of the widest load that a kernel is likely to use.
pub const HALF_ALIGNMENT_BYTES: usize = 16;

/// Most rows, columns, interior columns and matrices that candle's kernels count, in `int`s.
pub const MAX_COUNT: usize = i32::MAX as usize;

/// Largest row or column stride in candle's kernels, in elements: they multiply one by up to 64
/// rows and one by up to 64 columns, and add the two, in `int`s (`mlx_gemm.metal`).
pub const MAX_STEP: usize = MAX_COUNT / 128;

/// Most dimensions of an operand: as many as the property tests cover.
pub const MAX_RANK: usize = 5;

pub(crate) fn check_rank(slot: Slot, rank: usize, min: usize) -> Result<(), Reject> {
    let reject = Reject::Rank { slot, rank, min };
    allow((min..=MAX_RANK).contains(&rank), reject)
}

/// Whether candle's kernels count so many.
pub(crate) fn check_count(name: &'static str, value: usize) -> Result<(), Reject> {
    check_at_most(MAX_COUNT, name, value)
}

pub(crate) fn check_at_most(limit: usize, name: &'static str, value: usize) -> Result<(), Reject> {
    allow(value <= limit, Reject::Over { name, value, limit })
}

pub(crate) fn check_reach(rows: usize, interior: usize, row_bytes: usize) -> Result<(), Reject> {
    let limit = MAX_REACH_BYTES;
    let rows_reached = interior.saturating_mul(2);
    let rows_reached = rows_reached.saturating_add(rows.saturating_add(REACH_MARGIN_ROWS));
    let bytes = rows_reached.saturating_mul(row_bytes);
    let reject = Reject::Reach {
        rows,
        interior,
        row_bytes,
        bytes,
        limit,
    };
    allow(bytes <= limit, reject)
}

pub(crate) fn check_elements(slot: Slot, elements: usize) -> Result<(), Reject> {
    let limit = MAX_ELEMENTS;
    let reject = Reject::Elements {
        slot,
        elements,
        limit,
    };
    allow(elements <= limit, reject)
}

pub(crate) fn allow(allowed: bool, reject: Reject) -> Result<(), Reject> {
    if allowed { Ok(()) } else { Err(reject) }
}
