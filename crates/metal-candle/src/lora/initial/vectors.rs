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
    /// Vectors near those that are sought, `(n, M)` or fewer.
    pub(super) near: Option<&'a Tensor>,
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
        let mut space = self.start(m)?;
        if space.dim(0)? == m {
            return Vectors::within(matrix, &space, self.n);
        }
        let mut found = None;
        for n in self.rounds {
            for _ in 0..*n {
                let product = matmul(&matmul(&space, matrix)?, &matrix.t()?)?;
                space = orthonormal_rows(&product)?;
            }
            let vectors = Vectors::within(matrix, &space, self.n)?;
            let is_exact = vectors.angle < ANGLE;
            found = Some(vectors);
            if is_exact {
                break;
            }
        }
        found.map_or_else(|| Vectors::within(matrix, &space, self.n), Ok)
    }

    /// Orthonormal vectors of `m` elements that rounds begin with: those that are near, and others at random.
    fn start(&self, m: usize) -> Result<Tensor> {
        let width = (2 * self.n + SPARE).min(m);
        let n_near = self.near.map_or(Ok(0), |near| near.dim(0))?;
        let n_random = width - n_near;
        let random = normal(self.seed, self.stream, n_random * m, 1.0);
        let random = random.into_iter().map(f64::from).collect();
        let random = Tensor::from_vec(random, (n_random, m), &Device::Cpu)?;
        match self.near {
            Some(near) => orthonormal_rows(&Tensor::cat(&[near, &random], 0)?),
            None => orthonormal_rows(&random),
        }
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
