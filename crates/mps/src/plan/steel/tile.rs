//! Tiles that a product is cut into.

use candle_core::DType;

/// A configuration that candle-metal-kernels 0.11.1 instantiates: rows, columns and inner size of
/// a tile, and the simdgroups that share its rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    pub bm: usize,
    pub bn: usize,
    pub bk: usize,
    pub wm: usize,
    pub wn: usize,
}

const fn tile(bm: usize, bn: usize, bk: usize, wm: usize, wn: usize) -> Tile {
    Tile { bm, bn, bk, wm, wn }
}

/// For few rows, and with the shortest reach over the last row.
pub(crate) const SMALL: Tile = tile(32, 32, 16, 2, 2);
const SQUARE: Tile = tile(64, 64, 16, 2, 2);
const SQUARE_HALF: Tile = tile(64, 64, 16, 1, 2);
const TALL: Tile = tile(64, 32, 32, 2, 2);
const WIDE: Tile = tile(32, 64, 16, 1, 2);

/// Rows behind an addend that a kernel may read, at most: those of a tile that has one row.
pub const MAX_ADDEND_ROOM_ROWS: usize = 63;

/// Products with fewer rows than this waste most of a larger tile.
const FEW_ROWS: usize = 16;
/// Elements of a result that keep every core of a large GPU busy with the largest tiles.
const MANY_ELEMENTS: usize = 1 << 20;

/// Sizes of GPUs that are tiled differently, as the architecture's name tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuSize {
    /// Phones, and the base and Pro chips: names that end in `p` or `g`.
    Small,
    /// Max (`s`), Ultra (`d`), and what is not known.
    Large,
}

impl GpuSize {
    /// Size of the GPU of an architecture such as `applegpu_g13g`.
    pub fn of_architecture(name: &str) -> Self {
        match name.chars().last() {
            Some('p' | 'g') => Self::Small,
            _ => Self::Large,
        }
    }
}

/// Size that the choice depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: usize,
    pub transposed: [bool; 2],
}

impl Tile {
    /// The tile that candle chooses (`select_tile_config`, after MLX's `GEMM_TPARAM_MACRO`).
    pub fn choose(dtype: DType, size: Size, gpu: GpuSize) -> Self {
        let by_rows = size.transposed == [false, true];
        let many = size.batch * size.m * size.n >= MANY_ELEMENTS;
        let deep = 2 * size.m.max(size.n) <= size.k;
        match (gpu, dtype.size_in_bytes() == 2) {
            _ if size.m < FEW_ROWS => SMALL,
            (GpuSize::Small, _) if by_rows => TALL,
            (GpuSize::Small, true) => SQUARE_HALF,
            (GpuSize::Small, false) => SQUARE,
            (GpuSize::Large, false) if many => SQUARE,
            (GpuSize::Large, false) if by_rows => WIDE,
            (GpuSize::Large, false) => TALL,
            (GpuSize::Large, true) if many && !deep => SQUARE_HALF,
            (GpuSize::Large, true) if by_rows => TALL,
            (GpuSize::Large, true) if many => WIDE,
            (GpuSize::Large, true) => SQUARE_HALF,
        }
    }

    /// Rows of the addend that a product of `m` rows touches, which is more than `m` where the last
    /// tile is not full: a thread that has one row of the result in it reads all rows of its lane.
    pub fn addend_rows(self, m: usize) -> usize {
        let lanes = 8 * self.wm;
        match m % self.bm {
            0 => m,
            rest => m - rest + self.bm - lanes + rest.min(lanes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NN: [bool; 2] = [false, false];
    const NT: [bool; 2] = [false, true];
    const TN: [bool; 2] = [true, false];
    const TT: [bool; 2] = [true, true];

    fn choose([m, n, k, batch]: [usize; 4], transposed: [bool; 2]) -> [Tile; 4] {
        let size = Size {
            m,
            n,
            k,
            batch,
            transposed,
        };
        let tile = |dtype, gpu| Tile::choose(dtype, size, gpu);
        [
            tile(DType::F32, GpuSize::Small),
            tile(DType::BF16, GpuSize::Small),
            tile(DType::F32, GpuSize::Large),
            tile(DType::F16, GpuSize::Large),
        ]
    }

    /// Candle's rule as a table: the tiles for f32 and halves, on a small GPU and on a large one.
    #[test]
    fn tiles_are_those_of_candle() {
        let usual = [SQUARE, SQUARE_HALF, TALL, SQUARE_HALF];
        let by_rows = [TALL, TALL, WIDE, TALL];
        let many = [SQUARE, SQUARE_HALF, SQUARE, SQUARE_HALF];
        let many_by_rows = [TALL, TALL, SQUARE, SQUARE_HALF];
        let deep = [SQUARE, SQUARE_HALF, SQUARE, WIDE];
        let deep_by_rows = [TALL, TALL, SQUARE, TALL];
        for (m, n, k, transposed, expected) in [
            (15, 4096, 4096, NT, [SMALL; 4]),
            (16, 64, 64, NT, by_rows),
            (16, 64, 64, NN, usual),
            (16, 64, 64, TN, usual),
            (16, 64, 64, TT, usual),
            (1024, 1023, 64, NT, by_rows),
            (1024, 1024, 64, NT, many_by_rows),
            (1024, 1024, 64, NN, many),
            (1024, 1024, 2047, NT, many_by_rows),
            (1024, 1024, 2048, NT, deep_by_rows),
            (1024, 1024, 2048, NN, deep),
            (1024, 1024, 2048, TT, deep),
        ] {
            let got = choose([m, n, k, 1], transposed);
            assert_eq!(got, expected, "{m} {n} {k} {transposed:?}");
        }
    }

    #[test]
    fn a_batch_counts_as_elements() {
        let tile = |batch| choose([512, 512, 64, batch], NN)[2];
        assert_eq!([3, 4].map(tile), [TALL, SQUARE]);
    }

    #[test]
    fn sizes_are_told_by_the_last_letter() {
        let names = [
            "applegpu_g13p",
            "applegpu_g15g",
            "applegpu_g14s",
            "applegpu_g13d",
            "",
        ];
        let sizes = names.map(GpuSize::of_architecture);
        use GpuSize::{Large, Small};
        assert_eq!(sizes, [Small, Small, Large, Large, Large]);
    }

    #[test]
    fn a_tile_that_is_not_full_reaches_over_the_last_row() {
        // Lanes of 16 rows in a tile of 64: each thread reads every sixteenth.
        assert_eq!([64, 128].map(|m| SQUARE.addend_rows(m)), [64, 128]);
        assert_eq!(
            [1, 15, 16, 63, 65].map(|m| SQUARE.addend_rows(m)),
            [49, 63, 64, 64, 113]
        );
        // Lanes of 8 rows in a tile of 32.
        assert_eq!([1, 8, 9, 31].map(|m| WIDE.addend_rows(m)), [25, 32, 32, 32]);
    }
}
