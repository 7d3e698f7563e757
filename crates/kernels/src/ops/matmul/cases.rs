//! Shapes of products.

use super::MatMulOptions;
use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Shapes as stored, before the transposes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaseShape {
    /// Shape of `A`.
    pub a: Vec<usize>,
    /// Shape of `B`.
    pub b: Vec<usize>,
    /// Shape of `C`, where there is one.
    pub c: Option<Vec<usize>>,
    /// Dtype of `B`, where it is not that of `A`.
    pub b_dtype: Option<DType>,
    /// Transposes and factors.
    pub options: MatMulOptions,
}

impl CaseShape {
    /// `(M, N, K)`.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize, usize) {
        let (m, k) = rows_columns(&self.a, self.options.transpose_a);
        (m, rows_columns(&self.b, self.options.transpose_b).1, k)
    }

    /// Batch dimensions of the result.
    #[must_use]
    pub fn batch(&self) -> Vec<usize> {
        let rank = self.a.len().max(self.b.len()) - 2;
        (0..rank)
            .map(|dim| batch_size(&self.a, rank, dim).max(batch_size(&self.b, rank, dim)))
            .collect()
    }

    fn flops(&self) -> usize {
        let (m, n, k) = self.sizes();
        2 * self.batch().iter().product::<usize>() * m * n * k
    }

    fn moved(&self, dtype: DType) -> u64 {
        let (m, n, _) = self.sizes();
        let result = self.batch().iter().product::<usize>() * m * n;
        let wide = self.a.iter().product::<usize>() + result;
        let b = Cost::new(0, self.b.iter().product(), self.b_dtype.unwrap_or(dtype));
        Cost::new(0, wide, dtype).bytes + b.bytes
    }
}

fn rows_columns(dims: &[usize], transposed: bool) -> (usize, usize) {
    match dims {
        [.., rows, columns] if transposed => (*columns, *rows),
        [.., rows, columns] => (*rows, *columns),
        _ => (1, 1),
    }
}

/// Size of batch dimension `dim` of `rank`; missing leading ones are 1.
fn batch_size(dims: &[usize], rank: usize, dim: usize) -> usize {
    let missing = rank + 2 - dims.len();
    if dim < missing {
        1
    } else {
        dims[dim - missing]
    }
}

impl Costed for CaseShape {
    fn forward(&self, dtype: DType) -> Cost {
        Cost {
            flops: self.flops() as u64,
            bytes: self.moved(dtype),
        }
    }

    /// The gradients of both operands.
    fn backward(&self, dtype: DType) -> Cost {
        Cost {
            flops: 2 * self.flops() as u64,
            bytes: 2 * self.moved(dtype),
        }
    }
}

/// All transposes and factors, ranks 2 to 5, broadcast batches, a bias and mixed dtypes.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let mut shapes = transposes();
    shapes.extend(batches());
    shapes.extend(sums());
    let mixed = [DType::F32, DType::F16, DType::BF16];
    shapes.extend(mixed.map(|b_dtype| CaseShape {
        b_dtype: Some(b_dtype),
        ..plain(&[5, 7], &[7, 3])
    }));
    case::small(shapes)
}

fn transposes() -> Vec<CaseShape> {
    let mut shapes = vec![];
    for (m, n, k) in [(1, 1, 1), (1, 7, 5), (7, 1, 3), (3, 5, 1), (17, 13, 11)] {
        for (transpose_a, transpose_b) in FLAGS {
            let mut shape = plain(&ordered(m, k, transpose_a), &ordered(k, n, transpose_b));
            shape.options.transpose_a = transpose_a;
            shape.options.transpose_b = transpose_b;
            shapes.push(shape);
        }
    }
    shapes
}

const FLAGS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

fn ordered(rows: usize, columns: usize, transposed: bool) -> [usize; 2] {
    match transposed {
        true => [columns, rows],
        false => [rows, columns],
    }
}

fn batches() -> Vec<CaseShape> {
    let mut shapes = vec![
        plain(&[3, 2, 5], &[3, 5, 4]),
        plain(&[2, 3, 4, 5], &[2, 3, 5, 2]),
        plain(&[2, 1, 3, 2, 5], &[2, 2, 3, 5, 3]),
        plain(&[3, 2, 5], &[5, 4]),
        plain(&[2, 5], &[3, 5, 4]),
        plain(&[2, 3, 4, 5], &[2, 1, 5, 3]),
        plain(&[2, 1, 4, 5], &[3, 5, 3]),
        plain(&[1, 4, 5], &[3, 5, 3]),
        plain(&[2, 1, 3], &[3, 2]),
    ];
    for (transpose_a, transpose_b) in FLAGS {
        let mut shape = plain(&[3, 4, 4], &[4, 4]);
        shape.options.transpose_a = transpose_a;
        shape.options.transpose_b = transpose_b;
        shapes.push(shape);
    }
    shapes
}

fn sums() -> Vec<CaseShape> {
    let c: [&[usize]; 5] = [&[4], &[1], &[3, 1], &[2, 3, 4], &[3, 4]];
    let mut shapes = vec![];
    for (c, (alpha, beta)) in c
        .into_iter()
        .zip([(1.0, 1.0), (0.5, 2.0)].into_iter().cycle())
    {
        let mut shape = plain(&[2, 3, 5], &[2, 5, 4]);
        (shape.options.alpha, shape.options.beta) = (alpha, beta);
        shapes.push(CaseShape {
            c: Some(c.to_vec()),
            ..shape
        });
    }
    shapes
}

/// Thin products with long sums, or with such gradients, which an Apple GPU adds up in parts.
#[must_use]
pub fn thin() -> Vec<Case<CaseShape>> {
    let mut of_columns = plain(&[300, 3], &[300, 70]);
    of_columns.options.transpose_a = true;
    let mut scaled = layer(65, 2, 521);
    scaled.options.alpha = 0.5;
    let gradients = [plain(&[300, 5], &[5, 70]), plain(&[70, 5], &[5, 300])];
    let products = [layer(70, 4, 300), of_columns, scaled];
    let shapes: Vec<_> = products.into_iter().chain(gradients).collect();
    let mut cases = case::contiguous(shapes.clone());
    cases.extend(case::transposed(shapes));
    cases
}

/// The products of a block for one token and for a training row, weights as stored: `(N, K)`.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let layers = [
            (model.hidden, model.hidden),
            (model.intermediate, model.hidden),
            (model.hidden, model.intermediate),
        ];
        let rows = [1, TRAINED_TOKENS].into_iter();
        rows.flat_map(|rows| layers.map(|(n, k)| layer(rows, n, k)))
            .collect()
    })
}

/// Squares, the thin products of an adapter, and one row by a weight as stored.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let squares = [512, 1024, 2048].map(|n| plain(&[n, n], &[n, n]));
    let thin = [layer(256, 16, 2048), layer(256, 2048, 16)];
    let rows = [layer(1, 2048, 2048), layer(1, 4864, 896)];
    let mut cases = case::of_table(squares.into_iter().chain(thin), &[DType::F32]);
    cases.extend(case::of_table(rows, &[DType::F32, DType::BF16]));
    cases
}

fn layer(rows: usize, n: usize, k: usize) -> CaseShape {
    let mut shape = plain(&[rows, k], &[n, k]);
    shape.options.transpose_b = true;
    shape
}

fn plain(a: &[usize], b: &[usize]) -> CaseShape {
    CaseShape {
        a: a.to_vec(),
        b: b.to_vec(),
        ..CaseShape::default()
    }
}
