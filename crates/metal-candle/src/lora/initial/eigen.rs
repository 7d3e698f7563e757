//! Eigenvalues of a small symmetric matrix by Jacobi's rotations.

/// Sweeps over all pairs, of which a dozen is the most that any matrix has been seen to take.
const SWEEPS: usize = 50;

/// Eigenvalues of the symmetric `matrix`, the largest first, and a vector for each.
pub(super) fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(unit).collect();
    for _ in 0..SWEEPS {
        if is_diagonal(&matrix) {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let values = (0..n).map(|i| matrix[i][i]);
    let mut pairs: Vec<(f64, Vec<f64>)> = values.zip(vectors).collect();
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    pairs.into_iter().unzip()
}

/// Whether what stands beside the diagonal is below rounding.
fn is_diagonal(matrix: &[Vec<f64>]) -> bool {
    let (mut all, mut beside) = (0.0, 0.0);
    for (i, row) in matrix.iter().enumerate() {
        for (j, x) in row.iter().enumerate() {
            all += x * x;
            beside += if i == j { 0.0 } else { x * x };
        }
    }
    beside <= 1e-30 * all
}

/// Makes element `(p, q)` zero.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if matrix[p][q] == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]);
    let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let turned = |x: f64, y: f64| (cos * x - tan * cos * y, tan * cos * x + cos * y);
    for row in matrix.iter_mut() {
        (row[p], row[q]) = turned(row[p], row[q]);
    }
    for rows in [matrix, vectors] {
        let (above, below) = rows.split_at_mut(q);
        for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
            (*x, *y) = turned(*x, *y);
        }
    }
}
