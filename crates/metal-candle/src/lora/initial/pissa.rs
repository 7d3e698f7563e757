use super::Factors;
use super::vectors::{ANGLE, Search};
use crate::lora::Placement;
use candle_core::Tensor;
use metal_candle_kernels::{Result, matmul};

/// Rounds between two looks at how near the vectors are, for a fresh adapter: sixteen come near enough, and each takes two
/// products with the weight.
pub(super) const FRESH: [usize; 4] = [2, 2, 4, 8];

/// Rounds that find the vectors which another program trained against.
pub(super) const EXACT: [usize; 7] = [2, 2, 4, 8, 16, 32, 64];

/// `B = U_r sqrt(S_r / scale)`, `A = sqrt(S_r / scale) V_r^T` of `weight = U S V^T`, which is `(N, K)`: by subspace
/// iteration, until the vectors are exact, or the `rounds` are over that stand between two looks at them.
pub(super) fn factors(
    weight: &Tensor,
    place: &Placement,
    rounds: &[usize],
    seed: u64,
) -> Result<Factors> {
    let (n, k) = weight.dims2()?;
    // Vectors are sought on the narrower side.
    let matrix = match n <= k {
        true => weight.clone(),
        false => weight.t()?.contiguous()?,
    };
    let search = Search {
        n: place.r,
        rounds,
        seed,
        stream: &format!("{}.pissa", place.path),
        near: None,
    };
    let found = search.largest(&matrix)?;
    // (R, narrow), (R, wide): the vectors, and those of the other side by their values.
    let (near, far) = (&found.rows, matmul(&found.rows, &matrix)?);
    let values = far.sqr()?.sum_keepdim(1)?.sqrt()?;
    let root = (&values / place.scale)?.sqrt()?;
    let inverse = (values.maximum(f64::MIN_POSITIVE)? * place.scale)?
        .sqrt()?
        .recip()?;
    let (near, far) = (near.broadcast_mul(&root)?, far.broadcast_mul(&inverse)?);
    let (a, b) = if n <= k { (far, near) } else { (near, far) };
    Ok(Factors {
        a,
        b: b.t()?.contiguous()?,
        is_exact: found.angle < ANGLE,
    })
}
