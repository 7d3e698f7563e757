//! The definitions, straight from dims and strides.

use metal_candle_mps::plan::{View, scalar};

/// First byte of the element at `index`.
fn start_bytes(view: &View, index: &[usize]) -> usize {
    let elements: usize = index
        .iter()
        .zip(view.strides())
        .map(|(i, stride)| i * stride)
        .sum();
    view.offset_bytes() + elements * view.dtype().size_in_bytes()
}

pub fn read(view: &View, bytes: &[u8], index: &[usize]) -> f64 {
    let start = start_bytes(view, index);
    scalar::decode(
        view.dtype(),
        &bytes[start..start + view.dtype().size_in_bytes()],
    )
}

fn write(view: &View, bytes: &mut [u8], index: &[usize], value: f64) {
    let start = start_bytes(view, index);
    let rounded = scalar::encode(view.dtype(), value).expect("a float type");
    bytes[start..start + rounded.len()].copy_from_slice(&rounded);
}

/// Every index into `dims`.
fn indices(dims: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (0..dims.iter().product::<usize>()).map(move |mut flat| {
        let mut index = vec![0; dims.len()];
        for (i, len) in index.iter_mut().zip(dims).rev() {
            (*i, flat) = (flat % len, flat / len);
        }
        index
    })
}

/// `(.., M, K)` times `(.., K, N)`, added to the result; returns the whole result buffer.
pub fn multiply(
    [left, right, result]: [&View; 3],
    [left_bytes, right_bytes, result_bytes]: [&[u8]; 3],
    scalars: (f64, f64),
) -> Vec<u8> {
    gemm(
        [left, right, result, result],
        [left_bytes, right_bytes, result_bytes, result_bytes],
        scalars,
        Rounding::Once,
    )
}

/// When a kernel rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rounding {
    /// The result alone.
    Once,
    /// The result, and alpha and beta to float32.
    Factors,
    /// Factors, the product, and every step after it to the type of the result.
    Steps,
}

/// `alpha * left * right + beta * addend`; returns the whole result buffer.
pub fn gemm(
    [left, right, addend, result]: [&View; 4],
    [left_bytes, right_bytes, addend_bytes, result_bytes]: [&[u8]; 4],
    (alpha, beta): (f64, f64),
    rounding: Rounding,
) -> Vec<u8> {
    let mut out = result_bytes.to_vec();
    let factor = |factor: f64| match rounding {
        Rounding::Once => factor,
        _ => f64::from(factor as f32),
    };
    let step = |value: f64| match rounding {
        Rounding::Steps => scalar::round(result.dtype(), value),
        _ => value,
    };
    for index in indices(result.dims()) {
        let (batch, matrix) = index.split_at(index.len() - 2);
        let mut sum = 0.0;
        for k in 0..right.dims()[right.rank() - 2] {
            let left_index = [batch, &[matrix[0], k]].concat();
            let right_index = [batch, &[k, matrix[1]]].concat();
            sum += read(left, left_bytes, &left_index) * read(right, right_bytes, &right_index);
        }
        let mut value = step(factor(alpha) * step(sum));
        value += match beta {
            // Kernels of candle add zeros, which makes -0 a 0.
            0.0 if rounding == Rounding::Once => -0.0,
            0.0 => 0.0,
            _ => step(factor(beta) * read(addend, addend_bytes, &index)),
        };
        write(result, &mut out, &index, value);
    }
    out
}

/// Soft-max over the last dimension; returns the whole result buffer.
pub fn soft_max([source, result]: [&View; 2], [source_bytes, result_bytes]: [&[u8]; 2]) -> Vec<u8> {
    let mut out = result_bytes.to_vec();
    let (rows, columns) = result.dims().split_at(result.rank() - 1);
    for row in indices(rows) {
        let at = |column: usize| [&row[..], &[column]].concat();
        let values: Vec<f64> = (0..columns[0])
            .map(|c| read(source, source_bytes, &at(c)))
            .collect();
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = values.iter().map(|value| (value - max).exp()).sum();
        for (column, value) in values.iter().enumerate() {
            let value = (value - max).exp() / sum;
            write(result, &mut out, &at(column), value);
        }
    }
    out
}
