//! Tiles that a product is cut into.

use crate::plan::DataType;

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
    pub fn choose(dtype: DataType, size: Size, gpu: GpuSize) -> Self {
        let by_rows = size.transposed == [false, true];
        let many = size.batch * size.m * size.n >= MANY_ELEMENTS;
        let deep = 2 * size.m.max(size.n) <= size.k;
        match (gpu, dtype.is_half()) {
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

    type Row = ((usize, usize, usize), [bool; 2], [Tile; 4]);

    /// Candle's rule as a table: M, N, K, the transpositions, and the tiles for f32 and halves, on
    /// a small GPU and on a large one.
    const RULE: [Row; 12] = [
        ((15, 4096, 4096), [false, true], [SMALL; 4]),
        ((16, 64, 64), [false, true], [TALL, TALL, WIDE, TALL]),
        (
            (16, 64, 64),
            [false, false],
            [SQUARE, SQUARE_HALF, TALL, SQUARE_HALF],
        ),
        (
            (16, 64, 64),
            [true, false],
            [SQUARE, SQUARE_HALF, TALL, SQUARE_HALF],
        ),
        (
            (16, 64, 64),
            [true, true],
            [SQUARE, SQUARE_HALF, TALL, SQUARE_HALF],
        ),
        ((1024, 1023, 64), [false, true], [TALL, TALL, WIDE, TALL]),
        (
            (1024, 1024, 64),
            [false, true],
            [TALL, TALL, SQUARE, SQUARE_HALF],
        ),
        (
            (1024, 1024, 64),
            [false, false],
            [SQUARE, SQUARE_HALF, SQUARE, SQUARE_HALF],
        ),
        (
            (1024, 1024, 2047),
            [false, true],
            [TALL, TALL, SQUARE, SQUARE_HALF],
        ),
        (
            (1024, 1024, 2048),
            [false, true],
            [TALL, TALL, SQUARE, TALL],
        ),
        (
            (1024, 1024, 2048),
            [false, false],
            [SQUARE, SQUARE_HALF, SQUARE, WIDE],
        ),
        (
            (1024, 1024, 2048),
            [true, true],
            [SQUARE, SQUARE_HALF, SQUARE, WIDE],
        ),
    ];

    #[test]
    fn tiles_are_those_of_candle() {
        for ((m, n, k), transposed, expected) in RULE {
            let size = Size {
                m,
                n,
                k,
                batch: 1,
                transposed,
            };
            let tile = |dtype, gpu| Tile::choose(dtype, size, gpu);
            let got = [
                tile(DataType::Float32, GpuSize::Small),
                tile(DataType::BFloat16, GpuSize::Small),
                tile(DataType::Float32, GpuSize::Large),
                tile(DataType::Float16, GpuSize::Large),
            ];
            assert_eq!(got, expected, "{m} {n} {k} {transposed:?}");
        }
    }

    #[test]
    fn a_batch_counts_as_elements() {
        let size = |batch| Size {
            m: 512,
            n: 512,
            k: 64,
            batch,
            transposed: [false, false],
        };
        let tile = |batch| Tile::choose(DataType::Float32, size(batch), GpuSize::Large);
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
