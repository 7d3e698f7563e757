//! Reasons why there is no plan.

use candle_core::DType;
use thiserror::Error;

use super::limits::MAX_RANK;
use super::{Engine, Slot};

/// Refusal of what a plan cannot express, or must not ask of MPS, with the values that say so.
///
/// A rejected operation is not wrong: it belongs to another engine, or needs a copy first.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Reject {
    /// Dims, strides and an offset that are no view.
    #[error("{reason}: dims {dims:?}, strides {strides:?}, offset {offset_bytes} B")]
    Malformed {
        /// What is wrong with them.
        reason: &'static str,
        /// Offset of the first element.
        offset_bytes: usize,
        /// Lengths given.
        dims: Vec<usize>,
        /// Strides given.
        strides: Vec<usize>,
    },
    /// A view that reaches outside its buffer.
    #[error("bytes {offset_bytes}..{end_bytes} are not inside a buffer of {buffer_len_bytes} B")]
    OutOfBuffer {
        /// First byte addressed.
        offset_bytes: usize,
        /// One past the last byte addressed.
        end_bytes: usize,
        /// Length of the buffer.
        buffer_len_bytes: usize,
    },
    /// Too few or too many dimensions.
    #[error("{slot}: {rank} dimensions, expected {min} to {MAX_RANK}")]
    Rank {
        /// The operand.
        slot: Slot,
        /// Its number of dimensions.
        rank: usize,
        /// Fewest accepted.
        min: usize,
    },
    /// Dimensions that do not go together.
    #[error("{slot}: dims {got:?}, expected {expected:?}")]
    Shape {
        /// The operand that does not fit the ones before it.
        slot: Slot,
        /// Dims that would fit.
        expected: Vec<usize>,
        /// Dims it has.
        got: Vec<usize>,
    },
    /// Element types that the kernel does not take.
    #[error("{kernel} does not take {operands:?} to {result:?}")]
    Types {
        /// The MPS class, or the kernel.
        kernel: &'static str,
        /// Types of the operands.
        operands: Vec<DType>,
        /// Type of the result.
        result: DType,
    },
    /// A matrix in which neither rows nor columns are contiguous.
    #[error(
        "{slot}: strides {row_stride} and {column_stride} of the last two dimensions, one must be 1"
    )]
    Strided {
        /// The operand.
        slot: Slot,
        /// Elements from row to row.
        row_stride: usize,
        /// Elements from column to column.
        column_stride: usize,
    },
    /// A row whose elements are not neighbours.
    #[error("{slot}: stride {column_stride} of the last dimension, must be 1")]
    StridedRow {
        /// The operand.
        slot: Slot,
        /// Elements from column to column.
        column_stride: usize,
    },
    /// Rows that share elements, as broadcasting makes them.
    #[error("{slot}: rows of {columns} elements start every {row_stride} elements")]
    RowsOverlap {
        /// The operand.
        slot: Slot,
        /// Elements from row to row.
        row_stride: usize,
        /// Elements in a row.
        columns: usize,
    },
    /// A result whose rows are not contiguous; kernels write by rows only.
    #[error("result is not stored by rows: strides {strides:?}")]
    ResultByColumns {
        /// Elements from row to row and from column to column.
        strides: [usize; 2],
    },
    /// A result in which two indices share an element.
    #[error("result overlaps itself: dims {dims:?}, strides {strides:?}")]
    ResultOverlaps {
        /// Lengths of the result.
        dims: Vec<usize>,
        /// Strides of the result.
        strides: Vec<usize>,
    },
    /// Rows with a gap between them, in an `MPSNDArray`, which has none.
    #[error("{slot}: rows of {columns} elements start every {row_bytes} B, must be packed")]
    NotPacked {
        /// The operand.
        slot: Slot,
        /// Bytes from row to row.
        row_bytes: usize,
        /// Elements in a row.
        columns: usize,
    },
    /// A factor of the old result for a kernel that is given none.
    #[error("beta is {beta}, must be 0")]
    Beta {
        /// The factor.
        beta: f64,
    },
    /// An offset or a row stride of 16-bit floats off its alignment.
    #[error("{slot}: {what} {bytes} B is not a multiple of {multiple} B")]
    Alignment {
        /// The operand.
        slot: Slot,
        /// `offset`, which no origin can make up for, or `row stride`.
        what: &'static str,
        /// Its value.
        bytes: usize,
        /// Alignment asked for.
        multiple: usize,
    },
    /// A size over one of the [limits](super::limits).
    #[error("{name} {value} is over {limit}")]
    Over {
        /// Which size.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The limit.
        limit: usize,
    },
    /// Over [`MAX_REACH_BYTES`](super::limits::MAX_REACH_BYTES).
    #[error(
        "({rows} rows + 2 * {interior} interior columns + margin) * {row_bytes} B = {bytes} B is over {limit} B"
    )]
    Reach {
        /// Rows of the result.
        rows: usize,
        /// Interior columns.
        interior: usize,
        /// Row stride of the result.
        row_bytes: usize,
        /// What they come to, [`REACH_MARGIN_ROWS`](super::limits::REACH_MARGIN_ROWS) included.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Over [`MAX_ELEMENTS`](super::limits::MAX_ELEMENTS).
    #[error("{slot}: {elements} elements are over {limit}")]
    Elements {
        /// The operand.
        slot: Slot,
        /// Elements from the first to the last.
        elements: usize,
        /// The limit.
        limit: usize,
    },
    /// An addend in a buffer of its own, for a kernel of MPS that adds to the result.
    #[error("MPS adds to the result only, not to another addend")]
    SeparateAddend,
    /// Matrices of a result, or rows, that are not evenly spaced.
    #[error("{slot}: not evenly spaced: strides {strides:?}")]
    Uneven {
        /// The operand.
        slot: Slot,
        /// Elements between neighbours of each dimension, the coarsest first.
        strides: Vec<usize>,
    },
    /// An addend whose buffer ends before what the kernel reads of it; the last tile of candle's
    /// GEMM reads whole rows of tiles, and forgets those that are not there.
    #[error("{slot}: bytes up to {end_bytes} are read of a buffer of {buffer_len_bytes} B")]
    AddendReach {
        /// The operand.
        slot: Slot,
        /// One past the last byte read.
        end_bytes: usize,
        /// Length of the buffer.
        buffer_len_bytes: usize,
    },
    /// A product of two matrices, for a kernel that multiplies a matrix by a vector.
    #[error("{rows} rows and {columns} columns, one must be 1")]
    NotAVector {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
    },
    /// A result with gaps, for a kernel that writes one element after the other.
    #[error("result of {len} elements with steps {strides:?}, must be packed")]
    SpacedResult {
        /// Elements of one result.
        len: usize,
        /// Elements from neighbour to neighbour, and from result to result.
        strides: [usize; 2],
    },
    /// A result that is its own addend, where several threads compute the same element.
    #[error("result of {len} elements is added to itself by threads of {step} elements each")]
    SharedAddend {
        /// Elements of the result.
        len: usize,
        /// Elements that a thread computes.
        step: usize,
    },
    /// Factors that the type of the operands does not hold, for a kernel that rounds them to it.
    #[error("alpha {alpha} or beta {beta} is not a {dtype:?}")]
    RoundedFactors {
        /// Type of the operands.
        dtype: DType,
        /// Factor of the product.
        alpha: f32,
        /// Factor of the addend.
        beta: f32,
    },
    /// A result that does not fill the last threadgroup of a kernel whose threads meet at a barrier
    /// only where they have a column.
    #[error(
        "{columns} columns are not a multiple of {multiple}: some threads would miss a barrier"
    )]
    DivergentBarrier {
        /// Columns of the result.
        columns: usize,
        /// Columns of a threadgroup.
        multiple: usize,
    },
    /// An engine that this GPU or this system does not have.
    #[error("{engine} is not available here")]
    Unavailable {
        /// The engine.
        engine: Engine,
    },
}

impl Reject {
    /// The operand of which a contiguous copy fits; for [`Reject::AddendReach`] one in a buffer with
    /// more behind it.
    pub fn operand(&self) -> Option<Slot> {
        match *self {
            Self::Strided { slot, .. }
            | Self::StridedRow { slot, .. }
            | Self::RowsOverlap { slot, .. }
            | Self::NotPacked { slot, .. }
            | Self::Alignment { slot, .. }
            | Self::AddendReach { slot, .. } => Some(slot),
            Self::SeparateAddend => Some(Slot::Addend),
            _ => None,
        }
    }
}
