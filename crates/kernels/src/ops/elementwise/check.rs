//! The formulas over f64, and what sums, products and copies are checked on.

use crate::case::{self, Case};
use crate::tape::{self, add, mul};
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use candle_core::{Device, Tensor};

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    check_cases(&cases(), problem, device)?;
    check_all_cases(&fours(), problem, device)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sum,
    Product,
    /// The last two dimensions the other way round, in one.
    Copy,
    /// Heads side by side: the two dimensions before the last the other way round, all three in one.
    Join,
}

impl Kind {
    /// Dimensions that stay behind those that change places.
    fn n_behind(self) -> usize {
        usize::from(self == Self::Join)
    }

    fn copies(self) -> bool {
        matches!(self, Self::Copy | Self::Join)
    }
}

/// Sizes of both operands.
#[derive(Clone, Debug)]
struct CaseShape {
    kind: Kind,
    a: Vec<usize>,
    b: Vec<usize>,
}

/// A scalar, a row, a column, and more dimensions that are broadcast on either side; whole fours of elements and others.
fn cases() -> Vec<Case<CaseShape>> {
    let operands: [[&[usize]; 2]; 7] = [
        [&[], &[]],
        [&[3, 16], &[3, 16]],
        [&[5, 44], &[44]],
        [&[7, 13], &[7, 1]],
        [&[2, 3, 33], &[]],
        [&[4, 1, 12], &[2, 5, 4, 3, 12]],
        [&[2, 1, 2, 3, 1, 6], &[2, 2, 1, 3, 5, 6]],
    ];
    let of_kind = |kind| operands.map(|[a, b]| shape(kind, a, b));
    let copies: [&[usize]; 3] = [&[4, 8], &[2, 3, 5, 7], &[2, 2, 3, 12, 4]];
    let copies = copies.map(|dims| shape(Kind::Copy, dims, dims));
    let all = [Kind::Sum, Kind::Product].into_iter().flat_map(of_kind);
    case::small(all.chain(copies))
}

/// Rows of whole fours, in each dtype.
fn fours() -> Vec<Case<CaseShape>> {
    let of_kind = |kind| shape(kind, &[2, 2, 3, 8], &[2, 2, 3, 8]);
    case::contiguous([Kind::Sum, Kind::Product, Kind::Join].map(of_kind))
}

fn shape(kind: Kind, a: &[usize], b: &[usize]) -> CaseShape {
    let (a, b) = (a.to_vec(), b.to_vec());
    CaseShape { kind, a, b }
}

fn problem(case: &Case<CaseShape>) -> Problem {
    let CaseShape { kind, a, b } = case.shape.clone();
    let input = |name, dims: &[usize]| Input::new(name, dims).viewed(case.view);
    // The gradient of a scalar factor would be one long sum of rounded products.
    let is_constant = b.is_empty() || kind.copies();
    let factor = match is_constant {
        true => input("b", &[]).constant(),
        false => input("b", &b),
    };
    let inputs = vec![input("a", &a), factor];
    let factor = move |x: &[Tensor]| match is_constant {
        true => x[1].detach(),
        false => x[1].clone(),
    };
    match kind {
        Kind::Sum => {
            let problem = Problem::new(inputs, |x| truth(x, |a, b| a + b));
            problem.run("add", move |x| add(&x[0], &factor(x)))
        }
        Kind::Product => {
            let problem = Problem::new(inputs, |x| truth(x, |a, b| a * b));
            problem.run("mul", move |x| mul(&x[0], &factor(x)))
        }
        Kind::Copy | Kind::Join => {
            let problem = Problem::new(inputs, move |x| scaled(&across(&x[0], kind), &x[1]));
            problem.run("reshape", move |x| mul(&reshaped(&x[0], kind)?, &factor(x)))
        }
    }
}

/// `(.., M, N, behind)` as `(.., N * M * behind)`.
fn reshaped(x: &Tensor, kind: Kind) -> crate::Result<Tensor> {
    let second = x.rank() - kind.n_behind() - 1;
    let lead = &x.dims()[..second - 1];
    let dims = [lead, &[x.dims()[second - 1..].iter().product()]].concat();
    tape::reshape(&tape::transpose(x, second - 1, second)?, dims)
}

fn across(x: &Array, kind: Kind) -> Array {
    let second = x.dims.len() - kind.n_behind() - 1;
    let (lead, [m, n, behind @ ..]) = x.dims.split_at(second - 1) else {
        panic!("dimensions that change places: {:?}", x.dims);
    };
    let width: usize = behind.iter().product();
    Array::from_fn(&[lead, &[n * m * width]].concat(), |at| {
        let (lead, last) = at.split_at(at.len() - 1);
        let (row, within) = (last[0] / width, last[0] % width);
        let behind = [within];
        let behind = &behind[..kind.n_behind()];
        x.at(&[lead, &[row % m, row / m], behind].concat())
    })
}

fn scaled(x: &Array, factor: &Array) -> Array {
    Array::from_fn(&x.dims, |at| x.at(at) * factor.at(&[]))
}

/// `f` of both operands, broadcast.
fn truth(operands: &[Array], f: fn(f64, f64) -> f64) -> Array {
    let [a, b] = [&operands[0], &operands[1]];
    let rank = a.dims.len().max(b.dims.len());
    let size = |x: &Array, dim: usize| {
        let missing = rank - x.dims.len();
        dim.checked_sub(missing).map_or(1, |dim| x.dims[dim])
    };
    let dims: Vec<usize> = (0..rank).map(|d| size(a, d).max(size(b, d))).collect();
    let of = |x: &Array, at: &[usize]| {
        let own = at[rank - x.dims.len()..].iter().zip(&x.dims);
        let own: Vec<usize> = own.map(|(i, size)| i % size).collect();
        x.at(&own)
    };
    Array::from_fn(&dims, |at| f(of(a, at), of(b, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }
}
