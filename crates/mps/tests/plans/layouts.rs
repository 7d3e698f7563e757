//! Views as candle makes them, and stranger ones, with buffers to go with them.

use candle_core::DType;
use metal_candle_mps::plan::{Matrix, View, scalar};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How the dims of a tensor are laid out in a buffer.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Dimensions from the slowest to the fastest.
    pub order: Vec<usize>,
    /// Elements left out after each dimension of `order`; what a narrow leaves behind, and more.
    pub gaps: Vec<usize>,
    /// Dimensions of which all indices share their elements.
    pub broadcast: Vec<bool>,
    /// Elements in front.
    pub offset: usize,
    /// Bytes behind.
    pub tail_bytes: usize,
    /// All strides but the finest are multiples of this, in elements.
    pub stride_multiple: usize,
    /// So is the offset.
    pub offset_multiple: usize,
}

impl Layout {
    pub fn contiguous(rank: usize) -> Self {
        Self {
            order: (0..rank).collect(),
            gaps: vec![0; rank],
            broadcast: vec![false; rank],
            offset: 0,
            tail_bytes: 0,
            stride_multiple: 1,
            offset_multiple: 1,
        }
    }

    /// A view whose buffer ends right after its last element and the tail.
    pub fn view(&self, dtype: DType, dims: &[usize]) -> View {
        let mut strides = vec![0; dims.len()];
        let mut next = 1;
        for (place, &dim) in self.order.iter().enumerate().rev() {
            if !self.broadcast[dim] {
                strides[dim] = next;
                next = (next * dims[dim] + self.gaps[place]).next_multiple_of(self.stride_multiple);
            }
        }
        let offset = self.offset.next_multiple_of(self.offset_multiple);
        let last: usize = dims
            .iter()
            .zip(&strides)
            .map(|(len, stride)| (len - 1) * stride)
            .sum();
        let end_bytes = (offset + last + 1) * dtype.size_in_bytes();
        let offset_bytes = offset * dtype.size_in_bytes();
        View::new(
            dtype,
            offset_bytes,
            dims,
            &strides,
            end_bytes + self.tail_bytes,
        )
        .expect("the buffer is made to fit")
    }
}

/// Where the fastest dimension may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fastest {
    /// The last dimension: rows are contiguous.
    Last,
    /// One of the last two: a matrix or its transpose.
    LastTwo,
    /// Anywhere, and any dimension may be broadcast.
    Any,
}

/// Layouts of `rank` dimensions.
pub fn layout(rank: usize, fastest: Fastest, broadcast: bool) -> impl Strategy<Value = Layout> {
    let order = Just((0..rank).collect::<Vec<_>>()).prop_shuffle();
    let gaps = vec(prop_oneof![3 => Just(0), 1 => 1..6usize], rank);
    let flags = vec(prop::bool::weighted(0.25), rank);
    let ends = (
        prop_oneof![Just(0), 1..20usize],
        prop_oneof![Just(0), 1..20usize],
    );
    (order, any::<Index>(), gaps, flags, ends).prop_map(move |parts| {
        let (mut order, pick, gaps, mut flags, (offset, tail_bytes)) = parts;
        let matrix = match fastest {
            Fastest::Last => rank - 1..rank,
            Fastest::LastTwo => rank.saturating_sub(2)..rank,
            Fastest::Any => 0..0,
        };
        if !matrix.is_empty() {
            let last = matrix.start + pick.index(matrix.len());
            order.retain(|&dim| dim != last);
            order.push(last);
        }
        for (dim, flag) in flags.iter_mut().enumerate() {
            *flag &=
                broadcast && !matrix.contains(&dim) && (fastest == Fastest::Any || dim + 2 < rank);
        }
        Layout {
            order,
            gaps,
            broadcast: flags,
            offset,
            tail_bytes,
            stride_multiple: 1,
            offset_multiple: 1,
        }
    })
}

/// Bytes for the whole buffer of `view`, gaps included: quarters from -4 to 4, which all float
/// types hold exactly.
pub fn buffer(view: &View, seed: u64) -> Vec<u8> {
    let dtype = view.dtype();
    let count = view.buffer_len_bytes() / dtype.size_in_bytes();
    let mut state = seed | 1;
    let elements = (0..count).flat_map(|_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let step = (state >> 40) as i64 % 33 - 16;
        scalar::encode(dtype, step as f64 / 4.0).expect("a float")
    });
    let mut bytes: Vec<u8> = elements.collect();
    bytes.resize(view.buffer_len_bytes(), 0xa5);
    bytes
}

/// Lengths of the dimensions in front of a matrix, `rank` in all.
pub fn batch_dims(rank: usize) -> impl Strategy<Value = Vec<usize>> {
    vec(1..4usize, rank - 2)
}

/// Scalars of both kinds: those that are exact, and those that round.
pub fn scalars() -> impl Strategy<Value = (f64, f64)> {
    (
        select(vec![1.0, -0.5, 0.3, 0.0]),
        select(vec![0.0, 1.0, -2.0, 0.7]),
    )
}

/// `count` cases, and no file for the failed ones: a failure becomes a test with a name.
pub fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Offsets and row strides are what 16-bit floats are held to.
pub fn is_aligned(matrix: &Matrix) -> bool {
    let single_row = matrix.rows * matrix.matrices == 1;
    let rows_fit = single_row || matrix.row_bytes.is_multiple_of(16);
    let is_half = matrix.dtype.size_in_bytes() == 2;
    !is_half || (matrix.offset_bytes.is_multiple_of(16) && rows_fit)
}
