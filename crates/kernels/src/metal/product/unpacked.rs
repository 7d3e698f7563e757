//! Products with a matrix that is unpacked where it is needed: one of another dtype than the left factor, or packed.
//!
//! Sums are float32. No number of the matrix goes through memory in another storage than its own.

use super::Room;
use crate::metal::library::Source;
use crate::metal::{DeviceMatrix, DeviceTensor, Output, SIMD, Strided};
use candle_core::{DType, Result};
use candle_metal_kernels::metal::Buffer;
use metal_candle_mps::plan::steel::MAX_ADDEND_ROOM_ROWS;

static FEW_ROWS: Source = Source {
    name: "few_rows",
    text: concat!(
        include_str!("sum.metal"),
        include_str!("rows.metal"),
        include_str!("few_rows.metal")
    ),
};

static TILES: Source = Source {
    name: "tiles",
    text: concat!(include_str!("sum.metal"), include_str!("tiles.metal")),
};

/// Kernels for few rows, by how many they take at most.
const KERNELS: [(usize, &str); 4] = [
    (1, "product_of_1_row"),
    (2, "product_of_2_rows"),
    (4, "product_of_4_rows"),
    (8, "product_of_8_rows"),
];

/// Rows of the matrix for a SIMD group, and SIMD groups of a threadgroup: `OUTPUTS` of `rows.metal`.
pub(super) const OUTPUTS: usize = 4;
pub(super) const SIMDS: usize = 2;

/// Rows and columns of a threadgroup, steps of a sum in its memory, and its threads, as in `tiles.metal`.
const TILE: usize = 64;
const CHUNK: usize = 32;
const THREADS: usize = 4 * SIMD;

/// Least length of a part of a sum.
const LEAST_RANGE: usize = 1024;

/// Orientation of the matrix `(N, K)` in a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// `x W^T`, `(M, N)` for `(M, K)`.
    Transposed,
    /// `x W`, `(M, K)` for `(M, N)`.
    AsItIs,
}

/// Addend of a product.
#[derive(Clone, Copy)]
pub(crate) enum Onto<'a> {
    Nothing,
    /// A factor times a matrix of the result's shape, or one that broadcasts to it by its strides.
    Addend(f64, &'a DeviceTensor),
    /// The values that the result holds.
    Result,
}

/// `alpha x op(W)` and what is added to it.
#[derive(Clone, Copy)]
pub(crate) struct MatrixProduct<'a> {
    pub(crate) alpha: f64,
    /// `(M, K)` or `(M, N)`.
    pub(crate) x: &'a DeviceTensor,
    pub(crate) matrix: &'a DeviceMatrix,
    pub(crate) side: Side,
    pub(crate) onto: Onto<'a>,
}

/// `Sum` of `sum.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Sum {
    rows: u32,
    columns: u32,
    inner: u32,
    range: u32,
    alpha: f32,
    beta: f32,
    onto: u32,
}

/// Kernel of a product, and its threads.
struct Grid {
    source: &'static Source,
    kernel: &'static str,
    groups: [usize; 3],
    threads: usize,
}

impl Sum {
    /// Whole sums of `(M, K)` by `(N, K)`, to which something may be added.
    pub(super) fn few(x: &[usize], n: usize, has_addend: bool) -> Result<Self> {
        let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
        Ok(Self {
            rows: size(x[0])?,
            columns: size(n)?,
            inner: size(x[1])?,
            range: 0,
            alpha: 1.0,
            beta: 1.0,
            onto: has_addend.into(),
        })
    }
}

impl MatrixProduct<'_> {
    /// The result, in the dtype of `x`.
    pub(crate) fn run(&self, room: Room) -> Result<DeviceTensor> {
        let (rows, columns) = self.dims();
        let behind = match room {
            Room::None => 0,
            Room::ForAddend => MAX_ADDEND_ROOM_ROWS * columns,
        };
        let (device, dtype) = (self.matrix.device(), self.x.dtype());
        let y = Output::with_room(device, rows * columns, behind, dtype)?;
        self.run_into(y.place(), dtype, 1)?;
        Ok(y.matrix(columns))
    }

    /// The result in the memory of `y`, which nothing else holds.
    pub(crate) fn run_in(&self, y: DeviceTensor) -> Result<DeviceTensor> {
        self.run_into(y.place(), y.dtype(), 1)?;
        Ok(y)
    }

    /// The sums of `most` ranges at most, each a result of its own behind the others.
    pub(crate) fn run_into(&self, y: (&Buffer, usize), dtype: DType, most: usize) -> Result<()> {
        self.run_parts(y, dtype, ranges(self.inner(), most))
    }

    /// Whether the kernel computes ranges of the sums; that for few rows has whole ones.
    pub(super) fn has_parts(&self) -> bool {
        let (rows, _) = self.dims();
        few(&KERNELS, rows).is_none() || self.side == Side::AsItIs
    }

    /// The sums of ranges of such a length, whole chunks, and so many, each a result of its own behind the others.
    pub(super) fn run_parts(
        &self,
        y: (&Buffer, usize),
        dtype: DType,
        (range, parts): (usize, usize),
    ) -> Result<()> {
        let (x, addend, sum) = (self.x.strided()?, self.addend()?, self.sum(range)?);
        if sum.rows == 0 || sum.columns == 0 {
            return Ok(());
        }
        let types = [("X", x.dtype), ("C", addend.dtype), ("Y", dtype)];
        let Grid {
            source,
            kernel,
            groups,
            threads,
        } = self.grid(parts);
        let size = |size: u32| size as usize;
        self.matrix
            .launch(source, &types, kernel)?
            .strided(&x)
            .strided(&addend)
            .constants(&sum)
            .in_place(y)
            .flops(&[2, size(sum.rows), size(sum.columns), size(sum.inner)])
            .over_groups(groups, [threads, 1, 1])
    }

    fn grid(&self, parts: usize) -> Grid {
        let (rows, columns) = self.dims();
        match (few(&KERNELS, rows), self.side) {
            (Some(kernel), Side::Transposed) => Grid {
                source: &FEW_ROWS,
                kernel,
                groups: [columns.div_ceil(SIMDS * OUTPUTS), 1, 1],
                threads: SIMDS * SIMD,
            },
            _ => Grid {
                source: &TILES,
                kernel: match self.side {
                    Side::Transposed => "product_of_tiles_transposed",
                    Side::AsItIs => "product_of_tiles",
                },
                groups: [columns.div_ceil(TILE), rows.div_ceil(TILE), parts],
                threads: THREADS,
            },
        }
    }

    /// The matrix that the kernel adds, or one that it does not read.
    fn addend(&self) -> Result<Strided<'_>> {
        match self.onto {
            Onto::Addend(_, addend) => addend.strided(),
            Onto::Nothing | Onto::Result => Ok(self.x.strided()?.unread()),
        }
    }

    fn sum(&self, range: usize) -> Result<Sum> {
        let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
        let (rows, columns) = self.dims();
        let (beta, onto) = match self.onto {
            Onto::Nothing => (0.0, 0),
            Onto::Addend(beta, _) => (beta, 1),
            Onto::Result => (1.0, 2),
        };
        Ok(Sum {
            rows: size(rows)?,
            columns: size(columns)?,
            inner: size(self.inner())?,
            range: size(range)?,
            alpha: self.alpha as f32,
            beta: beta as f32,
            onto,
        })
    }

    /// Rows and columns of the result.
    fn dims(&self) -> (usize, usize) {
        let (n, k) = self.matrix.dims();
        match self.side {
            Side::Transposed => (self.x.dims()[0], n),
            Side::AsItIs => (self.x.dims()[0], k),
        }
    }

    fn inner(&self) -> usize {
        let (n, k) = self.matrix.dims();
        match self.side {
            Side::Transposed => k,
            Side::AsItIs => n,
        }
    }
}

/// The kernel of these for so many rows, by how many each takes at most.
pub(super) fn few(kernels: &[(usize, &'static str)], rows: usize) -> Option<&'static str> {
    let (_, kernel) = kernels.iter().find(|(most, _)| rows <= *most)?;
    Some(kernel)
}

/// Length of the parts of a sum, in whole chunks, and their number, `most` at most.
pub(crate) fn ranges(inner: usize, most: usize) -> (usize, usize) {
    let range = inner.div_ceil(most).max(LEAST_RANGE);
    let range = range.next_multiple_of(CHUNK);
    (range, inner.div_ceil(range).max(1))
}
