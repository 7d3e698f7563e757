use super::Factors;
use super::basis::{length, orthonormal};
use super::eigen::eigen;
use crate::lora::Placement;
use crate::random::normal;
use candle_core::{Device, Tensor};
use metal_candle_kernels::{Result, matmul};

/// Vectors beside twice those that are wanted: the more there are, the fewer rounds it takes.
const SPARE: usize = 16;

/// Rounds between two looks at how near the vectors are, for a fresh adapter: sixteen come near enough, and each takes two
/// products with the weight.
pub(super) const FRESH: [usize; 4] = [2, 2, 4, 8];

/// Rounds that find the vectors which another program trained against.
pub(super) const EXACT: [usize; 7] = [2, 2, 4, 8, 16, 32, 64];

/// Largest angle between the space of the vectors found and that of the singular vectors, in which a factor is exact.
const ANGLE: f64 = 1e-6;

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
    let found = Vectors::largest(&matrix, place, rounds, seed)?;
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

/// Singular vectors of the largest values.
struct Vectors {
    /// `(R, M)`.
    rows: Tensor,
    /// Bound of the angle between their space and that of the true ones.
    angle: f64,
}

impl Vectors {
    /// Left vectors of `matrix`, `(M, W)`.
    fn largest(matrix: &Tensor, place: &Placement, rounds: &[usize], seed: u64) -> Result<Self> {
        let m = matrix.dim(0)?;
        let width = (2 * place.r + SPARE).min(m);
        let start = normal(seed, &format!("{}.pissa", place.path), width * m, 1.0);
        let start = start.into_iter().map(f64::from).collect();
        let mut space = orthonormal_rows(&Tensor::from_vec(start, (width, m), &Device::Cpu)?)?;
        let mut found = Self::within(matrix, &space, place.r)?;
        for n in rounds {
            if found.angle < ANGLE {
                break;
            }
            for _ in 0..*n {
                let product = matmul(&matmul(&space, matrix)?, &matrix.t()?)?;
                space = orthonormal_rows(&product)?;
            }
            found = Self::within(matrix, &space, place.r)?;
        }
        Ok(found)
    }

    /// Best vectors within the rows of `space`, `(S, M)` (Rayleigh, Ritz). The angle is bounded by what they leave over
    /// and the distance to the next value (Davis, Kahan 1970).
    fn within(matrix: &Tensor, space: &Tensor, r: usize) -> Result<Self> {
        let product = matmul(space, matrix)?;
        let (values, turns) = eigen(matmul(&product, &product.t()?)?.to_vec2()?);
        let turns = Tensor::new(turns[..r].to_vec(), &Device::Cpu)?;
        let rows = matmul(&turns, space)?;
        let again = matmul(&matmul(&turns, &product)?, &matrix.t()?)?;
        let expected = Tensor::new(&values[..r], &Device::Cpu)?.reshape((r, 1))?;
        let left = (again - rows.broadcast_mul(&expected)?)?.flatten_all()?;
        let is_whole = space.dim(0)? == matrix.dim(0)?;
        let next = values.get(r).copied();
        let gap = values[r - 1] - next.unwrap_or(0.0);
        let angle = match next {
            // Nothing is left to be mistaken for it.
            None if is_whole => 0.0,
            _ => length(&left.to_vec1()?) / gap,
        };
        Ok(Self { rows, angle })
    }
}

pub(super) fn orthonormal_rows(rows: &Tensor) -> Result<Tensor> {
    let mut rows = rows.to_vec2()?;
    orthonormal(&mut rows);
    Ok(Tensor::new(rows, &Device::Cpu)?)
}
