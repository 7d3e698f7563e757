//! Parts of the long sums of a thin product, whose tiles are too few to keep a GPU busy.

/// Rows and columns of a tile, and steps of a sum at a time, of the kernel that adds up ranges (`tiles.metal` of
/// crates/kernels).
const TILE: usize = 64;
const CHUNK: usize = 32;

/// Rows or columns of a thin product at most: ranks of adapters.
const MOST_THIN: usize = 32;

/// Fewest of the other: with fewer a part is a launch more for next to nothing.
const LEAST_LONG: usize = 64;

/// Tiles that are not split, and threadgroups that are enough: the largest GPUs have 80 cores, most have 8 to 40.
const ENOUGH_TILES: usize = 32;
const ENOUGH_GROUPS: usize = 64;

/// Steps of a part at least, and parts at most, which are read once more.
const LEAST_RANGE: usize = 128;
const MOST_PARTS: usize = 16;

/// Ranges of the sums of a product: each is a result of its own, and these are added up in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// Steps of a range, whole chunks; the last may have fewer.
    pub range: usize,
    /// How many ranges there are, two at least.
    pub parts: usize,
}

impl Split {
    /// Ranges for `(M, K)` by `(K, N)`; `None` where whole sums keep a GPU busy, or are short.
    pub fn of([m, n, k]: [usize; 3]) -> Option<Self> {
        let is_thin = (2..=MOST_THIN).contains(&m.min(n)) && m.max(n) >= LEAST_LONG;
        let tiles = tiles(m, n);
        if !is_thin || tiles >= ENOUGH_TILES {
            return None;
        }
        let parts = ENOUGH_GROUPS.div_ceil(tiles);
        let parts = parts.min(k / LEAST_RANGE).min(MOST_PARTS);
        let range = k.div_ceil(parts.max(1)).next_multiple_of(CHUNK);
        let parts = k.div_ceil(range);
        (parts > 1).then_some(Self { range, parts })
    }

    /// Threadgroups of an `(M, N)` result.
    pub fn groups(self, m: usize, n: usize) -> usize {
        self.parts * tiles(m, n)
    }
}

fn tiles(m: usize, n: usize) -> usize {
    m.div_ceil(TILE) * n.div_ceil(TILE)
}
