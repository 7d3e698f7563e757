//! Principal components of rows that come in batches (Ross, Lim, Lin, Yang 2008,
//! <https://doi.org/10.1007/s11263-007-0075-7>), as PEFT's `IncrementalPCA` has them.

use crate::lora::initial::vectors::{Search, orthonormal_rows};
use candle_core::{D, Device, Tensor};
use metal_candle_kernels::{Result, matmul};

/// Rounds of subspace iteration for the first batch, those of PEFT. What they begin with is no part of the result where they
/// find the vectors, so that one seed does for all.
const FIRST: [usize; 1] = [4];

/// Rounds for a batch whose vectors are near those before it.
const LATER: [usize; 1] = [2];

/// The first `n` components of all rows so far.
#[derive(Debug)]
pub(super) struct Pca {
    n: usize,
    /// Most rows that a batch has had.
    most_rows: usize,
    fitted: Option<Fitted>,
}

#[derive(Debug)]
struct Fitted {
    n_rows: f64,
    /// `(1, K)`.
    mean: Tensor,
    /// Sum of the squares of all rows about their mean.
    spread: f64,
    /// `(n, K)`, orthonormal, the one of the largest value first.
    components: Tensor,
    /// `(n, 1)`.
    values: Tensor,
    /// Cosines of the angles between each component and the one before the last batch.
    cosines: Option<Vec<f64>>,
}

impl Pca {
    pub(super) fn new(n: usize) -> Self {
        Self {
            n,
            most_rows: 0,
            fitted: None,
        }
    }

    /// Takes `rows`, `(T, K)` in float64 on the CPU. Fewer than there are components are left out, as in PEFT.
    pub(super) fn fit(&mut self, rows: &Tensor) -> Result<()> {
        let n_rows = rows.dim(0)?;
        self.most_rows = self.most_rows.max(n_rows);
        if n_rows < self.n {
            return Ok(());
        }
        let fitted = match &self.fitted {
            None => Fitted::first(rows, self.n)?,
            Some(before) => before.with(rows, self.n)?,
        };
        self.fitted = Some(fitted);
        Ok(())
    }

    pub(super) fn n(&self) -> usize {
        self.n
    }

    pub(super) fn most_rows(&self) -> usize {
        self.most_rows
    }

    /// `(n, K)`; `None` before the first batch.
    pub(super) fn components(&self) -> Option<&Tensor> {
        self.fitted.as_ref().map(|fitted| &fitted.components)
    }

    /// Shares of the rows' variance that the components explain; `None` before the first batch.
    pub(super) fn ratios(&self) -> Result<Option<Vec<f64>>> {
        self.fitted.as_ref().map(Fitted::ratios).transpose()
    }

    /// Whether the last batch left the first `rank` components where they were, within an angle of cosine `tau`.
    pub(super) fn is_settled(&self, rank: usize, tau: f64) -> bool {
        let cosines = self.fitted.as_ref().and_then(|f| f.cosines.as_ref());
        rank == 0 || cosines.is_some_and(|all| all.iter().take(rank).all(|cosine| *cosine >= tau))
    }
}

impl Fitted {
    fn first(rows: &Tensor, n: usize) -> Result<Self> {
        let mean = rows.mean_keepdim(0)?;
        let centred = rows.broadcast_sub(&mean)?;
        let (components, values) = largest(&centred, n, None)?;
        Ok(Self {
            n_rows: rows.dim(0)? as f64,
            mean,
            spread: sum_of_squares(&centred)?,
            components,
            values,
            cosines: None,
        })
    }

    /// The components as so many rows, and the distance of both means as one more, stand for the rows so far.
    fn with(&self, rows: &Tensor, n: usize) -> Result<Self> {
        let n_new = rows.dim(0)? as f64;
        let n_rows = self.n_rows + n_new;
        let mean = rows.mean_keepdim(0)?;
        let centred = rows.broadcast_sub(&mean)?;
        let apart = ((&self.mean - &mean)? * (self.n_rows / n_rows * n_new).sqrt())?;
        let before = self.components.broadcast_mul(&self.values)?;
        let rows = Tensor::cat(&[&before, &centred, &apart], 0)?;
        let (components, values) = largest(&rows, n, Some(&self.components))?;
        let cosines = (&components * &self.components)?.sum(D::Minus1)?;
        Ok(Self {
            n_rows,
            mean: (((&self.mean * self.n_rows)? + (mean * n_new)?)? / n_rows)?,
            spread: self.spread + sum_of_squares(&centred)? + sum_of_squares(&apart)?,
            components,
            values,
            cosines: Some(cosines.to_vec1()?),
        })
    }

    fn ratios(&self) -> Result<Vec<f64>> {
        let squares = self.values.sqr()?.flatten_all()?.to_vec1::<f64>()?;
        let of_spread = |square: f64| match self.spread > 0.0 {
            true => square / self.spread,
            false => 0.0,
        };
        Ok(squares.into_iter().map(of_spread).collect())
    }
}

fn sum_of_squares(t: &Tensor) -> Result<f64> {
    Ok(t.sqr()?.sum_all()?.to_scalar()?)
}

/// Right singular vectors of the `n` largest values of `rows`, `(M, K)`, which are near `before`, `(n, K)`, and the values,
/// `(n, 1)`.
fn largest(rows: &Tensor, n: usize, before: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let (m, k) = rows.dims2()?;
    // Vectors are sought on the narrower side.
    let is_wide = k > m;
    let across = before
        .filter(|_| is_wide)
        .map(|before| matmul(before, &rows.t()?));
    let across = across.transpose()?;
    let search = Search {
        n,
        rounds: if before.is_some() { &LATER } else { &FIRST },
        seed: 0,
        stream: "eva",
        near: across.as_ref().or(before),
    };
    let components = match is_wide {
        false => search.largest(&rows.t()?.contiguous()?)?.rows,
        true => orthonormal_rows(&matmul(&search.largest(rows)?.rows, rows)?)?,
    };
    let components = oriented(&components)?;
    let along = matmul(&components, &rows.t()?)?;
    let values = along.sqr()?.sum_keepdim(1)?.sqrt()?;
    Ok((components, values))
}

/// Rows of the sign by which the largest element of each is positive, as in PEFT.
fn oriented(rows: &Tensor) -> Result<Tensor> {
    let mut rows = rows.to_vec2::<f64>()?;
    for row in &mut rows {
        let largest = row.iter().max_by(|a, b| a.abs().total_cmp(&b.abs()));
        if largest.is_some_and(|largest| *largest < 0.0) {
            row.iter_mut().for_each(|x| *x = -*x);
        }
    }
    Ok(Tensor::new(rows, &Device::Cpu)?)
}

#[cfg(test)]
mod tests;
