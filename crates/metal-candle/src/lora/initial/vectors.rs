//! Singular vectors of the largest values by subspace iteration (Halko, Martinsson, Tropp 2011,
//! <https://arxiv.org/abs/0909.4061>).

use super::basis::{length, orthonormal};
use super::eigen::eigen;
use crate::random::normal;
use candle_core::{Device, Tensor};
use metal_candle_kernels::{Result, matmul};

/// Vectors beside twice those that are wanted: the more there are, the fewer rounds it takes.
const SPARE: usize = 16;

/// Largest angle between the space of the vectors found and that of the singular vectors, in which they are exact.
pub(super) const ANGLE: f64 = 1e-6;

/// Way to look for singular vectors.
pub(super) struct Search<'a> {
    /// Number of vectors.
    pub(super) n: usize,
    /// Rounds between two looks at how near the vectors are, until they are exact.
    pub(super) rounds: &'a [usize],
    pub(super) seed: u64,
    /// Sets the vectors that this one begins with apart from those of others.
    pub(super) stream: &'a str,
}

/// Singular vectors of the largest values.
pub(super) struct Vectors {
    /// `(R, M)`.
    pub(super) rows: Tensor,
    /// Bound of the angle between their space and that of the true ones.
    pub(super) angle: f64,
}

impl Search<'_> {
    /// Left vectors of `matrix`, `(M, W)`.
    pub(super) fn largest(&self, matrix: &Tensor) -> Result<Vectors> {
        let m = matrix.dim(0)?;
        let width = (2 * self.n + SPARE).min(m);
        let start = normal(self.seed, self.stream, width * m, 1.0);
        let start = start.into_iter().map(f64::from).collect();
        let mut space = orthonormal_rows(&Tensor::from_vec(start, (width, m), &Device::Cpu)?)?;
        let mut found = Vectors::within(matrix, &space, self.n)?;
        for n in self.rounds {
            if found.angle < ANGLE {
                break;
            }
            for _ in 0..*n {
                let product = matmul(&matmul(&space, matrix)?, &matrix.t()?)?;
                space = orthonormal_rows(&product)?;
            }
            found = Vectors::within(matrix, &space, self.n)?;
        }
        Ok(found)
    }
}

impl Vectors {
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
