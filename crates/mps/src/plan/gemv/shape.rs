//! Shares of threads in a matrix-vector product.

use candle_core::DType;

/// Threads of a threadgroup: simdgroups along the stored rows and columns (`bm`, `bn`), lanes of a
/// simdgroup (`sm`, `sn`), and elements of a lane (`tm`, `tn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub transposed: bool,
    bm: usize,
    bn: usize,
    sm: usize,
    sn: usize,
    tm: usize,
    tn: usize,
}

/// Results shorter than this get one element a thread.
const SHORT_RESULT: usize = 4;

impl Block {
    /// Candle's choice (`call_mlx_gemv`) for a vector of `inner` elements and a result of `outer`.
    pub fn choose(transposed: bool, inner: usize, outer: usize) -> Self {
        let each = if outer < SHORT_RESULT { 1 } else { 4 };
        if transposed {
            Self::of_columns(inner, outer, each)
        } else {
            Self::of_rows(inner, outer, each)
        }
    }

    /// `gemv_t`: the matrix is stored with a row for each element of the vector.
    fn of_columns(inner: usize, outer: usize, tn: usize) -> Self {
        let (sm, sn) = if inner >= 8192 && outer >= 2048 {
            (4, 8)
        } else {
            (8, 4)
        };
        let bn = match outer {
            2048.. => 16,
            512.. => 4,
            _ => 2,
        };
        Self::new(true, [1, bn, sm, sn, 4, tn])
    }

    /// `gemv`: the matrix is stored with a row for each element of the result.
    fn of_rows(inner: usize, outer: usize, tm: usize) -> Self {
        let (bm, bn, sm, sn) = match outer {
            _ if inner <= 64 => (1, 1, 8, 4),
            _ if inner >= 16 * outer => (1, 8, 1, 32),
            4096.. => (8, 1, 1, 32),
            _ => (4, 1, 1, 32),
        };
        Self::new(false, [bm, bn, sm, sn, tm, 4])
    }

    fn new(transposed: bool, [bm, bn, sm, sn, tm, tn]: [usize; 6]) -> Self {
        Self {
            transposed,
            bm,
            bn,
            sm,
            sn,
            tm,
            tn,
        }
    }

    /// Elements of the result that one thread computes. The last thread moves back where they do
    /// not divide it, and computes some for a second time.
    pub fn step(self) -> usize {
        if self.transposed { self.tn } else { self.tm }
    }

    /// Elements of the result that one threadgroup computes.
    pub fn reach(self) -> usize {
        match self.transposed {
            true => self.bn * self.sn * self.tn,
            false => self.bm * self.sm * self.tm,
        }
    }

    /// Whether threads without a column of the result miss a barrier that the others pass, which MSL
    /// forbids: `gemv_t` has one in its loop, inside of the test for a column.
    pub fn diverges(self, inner: usize, outer: usize) -> bool {
        let loops = inner >= self.bm * self.sm * self.tm;
        self.transposed && loops && !outer.is_multiple_of(self.reach())
    }

    /// Threadgroups for a result of `outer` elements, and `count` of them.
    pub fn grid(self, outer: usize, count: usize) -> [usize; 3] {
        [outer.div_ceil(self.reach()), 1, count]
    }

    /// Threads of a threadgroup.
    pub fn group(self) -> [usize; 3] {
        [32, self.bn, self.bm]
    }

    /// The kernel's name; `walks` a batch of several dimensions, and `adds` something.
    pub fn kernel(self, dtype: DType, walks: bool, adds: bool) -> String {
        let Self {
            bm,
            bn,
            sm,
            sn,
            tm,
            tn,
            ..
        } = self;
        let function = if self.transposed { "gemv_t" } else { "gemv" };
        let name = match dtype {
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            _ => "float32",
        };
        let [nc, axpby] = [walks, adds].map(u8::from);
        format!("{function}_{name}_bm{bm}_bn{bn}_sm{sm}_sn{sn}_tm{tm}_tn{tn}_nc{nc}_axpby{axpby}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that `gemv.metal` instantiates: bm, bn, sm, sn, tm, tn.
    const ROWS: [[usize; 6]; 7] = [
        [1, 8, 1, 32, 4, 4],
        [1, 8, 1, 32, 1, 4],
        [1, 1, 8, 4, 4, 4],
        [1, 1, 8, 4, 1, 4],
        [4, 1, 1, 32, 1, 4],
        [4, 1, 1, 32, 4, 4],
        [8, 1, 1, 32, 4, 4],
    ];
    const COLUMNS: [[usize; 6]; 5] = [
        [1, 2, 8, 4, 4, 1],
        [1, 2, 8, 4, 4, 4],
        [1, 4, 8, 4, 4, 4],
        [1, 16, 8, 4, 4, 4],
        [1, 16, 4, 8, 4, 4],
    ];

    fn numbers(block: Block) -> [usize; 6] {
        [block.bm, block.bn, block.sm, block.sn, block.tm, block.tn]
    }

    #[test]
    fn every_choice_is_instantiated() {
        let lengths = [
            1, 3, 4, 64, 65, 511, 512, 2047, 2048, 4095, 4096, 8191, 8192, 65536,
        ];
        for (transposed, instances) in [(false, &ROWS[..]), (true, &COLUMNS[..])] {
            for (inner, outer) in lengths.iter().flat_map(|i| lengths.map(|o| (*i, o))) {
                let block = numbers(Block::choose(transposed, inner, outer));
                assert!(instances.contains(&block), "{inner} {outer}: {block:?}");
            }
        }
    }

    #[test]
    fn the_choice_is_candles() {
        let rows = |inner, outer| numbers(Block::choose(false, inner, outer));
        assert_eq!(rows(64, 4096), [1, 1, 8, 4, 4, 4]);
        assert_eq!(rows(65, 3), [1, 8, 1, 32, 1, 4]);
        assert_eq!(rows(896, 57), [4, 1, 1, 32, 4, 4]);
        assert_eq!(rows(896, 56), [1, 8, 1, 32, 4, 4]);
        assert_eq!(rows(896, 4095), [4, 1, 1, 32, 4, 4]);
        assert_eq!(rows(896, 4096), [8, 1, 1, 32, 4, 4]);
        let columns = |inner, outer| numbers(Block::choose(true, inner, outer));
        assert_eq!(columns(8191, 2048), [1, 16, 8, 4, 4, 4]);
        assert_eq!(columns(8192, 2048), [1, 16, 4, 8, 4, 4]);
        assert_eq!(columns(8192, 2047), [1, 4, 8, 4, 4, 4]);
        assert_eq!(columns(64, 511), [1, 2, 8, 4, 4, 4]);
        assert_eq!(columns(64, 3), [1, 2, 8, 4, 4, 1]);
    }

    #[test]
    fn a_barrier_in_a_loop_wants_full_threadgroups() {
        let diverges = |inner, outer| Block::choose(true, inner, outer).diverges(inner, outer);
        assert!(!diverges(31, 33) && !diverges(32, 64) && diverges(32, 63) && diverges(32, 2));
        assert!(!diverges(8192, 2048) && diverges(8192, 2048 + 256));
        assert!(!Block::choose(false, 896, 33).diverges(896, 33));
    }

    #[test]
    fn a_grid_covers_the_result() {
        let block = Block::choose(false, 896, 4865);
        assert_eq!(block.grid(4865, 3), [153, 1, 3]);
        assert_eq!(block.group(), [32, 1, 8]);
        let block = Block::choose(true, 896, 4865);
        assert_eq!(block.grid(4865, 1), [20, 1, 1]);
        assert_eq!(block.group(), [32, 16, 1]);
    }
}
