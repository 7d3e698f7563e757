//! The columns of a square block.

use pulp::Simd;

/// Rows and columns of a block: the lanes of the widest vectors.
pub(super) const BLOCK: usize = 16;

/// `columns[k][i] = rows[i][k]`.
#[inline(always)]
pub(super) fn transposed<S: Simd>(_: S, rows: &[[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
    #[cfg(target_arch = "x86_64")]
    if S::F32_LANES == BLOCK
        && let Some(simd) = pulp::x86::V4::try_new()
    {
        return x86::transposed(simd, rows);
    }
    std::array::from_fn(|k| std::array::from_fn(|i| rows[i][k]))
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::BLOCK;
    use crate::vector::each;
    use pulp::cast;
    use pulp::x86::V4;
    use std::arch::x86_64::{__m512, __m512d};

    /// In three rounds of shuffles: of single elements, of pairs, and of fours.
    #[inline(always)]
    pub(super) fn transposed(simd: V4, rows: &[[f32; BLOCK]; BLOCK]) -> [[f32; BLOCK]; BLOCK] {
        let simd = simd.avx512f;
        let mut pairs = [cast::<_, __m512d>([0.0f64; 8]); BLOCK];
        for i in (0..BLOCK).step_by(2) {
            let (a, b): (__m512, __m512) = (cast(rows[i]), cast(rows[i + 1]));
            pairs[i] = cast(simd._mm512_unpacklo_ps(a, b));
            pairs[i + 1] = cast(simd._mm512_unpackhi_ps(a, b));
        }
        // fours[4 g + c], part l of four: rows 4 g to 4 g + 3 of column 4 l + c.
        let mut fours = [cast::<_, __m512>([0.0f32; BLOCK]); BLOCK];
        for i in (0..BLOCK).step_by(4) {
            for half in 0..2 {
                let (a, b) = (pairs[i + half], pairs[i + half + 2]);
                fours[i + 2 * half] = cast(simd._mm512_unpacklo_pd(a, b));
                fours[i + 2 * half + 1] = cast(simd._mm512_unpackhi_pd(a, b));
            }
        }
        let mut columns = [[0.0; BLOCK]; BLOCK];
        for c in 0..4 {
            let (low, high) = ((fours[c], fours[4 + c]), (fours[8 + c], fours[12 + c]));
            let even = each(
                [low, high],
                #[inline(always)]
                |(a, b)| simd._mm512_shuffle_f32x4::<0x88>(a, b),
            );
            let odd = each(
                [low, high],
                #[inline(always)]
                |(a, b)| simd._mm512_shuffle_f32x4::<0xdd>(a, b),
            );
            columns[c] = cast(simd._mm512_shuffle_f32x4::<0x88>(even[0], even[1]));
            columns[8 + c] = cast(simd._mm512_shuffle_f32x4::<0xdd>(even[0], even[1]));
            columns[4 + c] = cast(simd._mm512_shuffle_f32x4::<0x88>(odd[0], odd[1]));
            columns[12 + c] = cast(simd._mm512_shuffle_f32x4::<0xdd>(odd[0], odd[1]));
        }
        columns
    }
}
