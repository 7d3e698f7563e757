//! Products of matrices, of rows and matrices, of quantized weights, and attention.

use crate::compare::*;
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Device, Module, Result, Tensor};
use soft_metal::Guard;

/// Which tiles candle chooses depends on the kind of GPU: base, max, ultra.
const ARCHITECTURES: &[&str] = &["applegpu_g13s", "applegpu_g13d", "applegpu_g13g"];

const NARROW: &[DType] = &[DType::F16, DType::BF16];

/// A matrix, or a batch of them, that is stored by rows or by columns.
fn factor(shape: &[usize], by_columns: bool, step: f64, like: &Tensor) -> Result<Tensor> {
    let (mut shape, last) = (shape.to_vec(), shape.len() - 1);
    if by_columns {
        shape.swap(last, last - 1);
        return wave(&shape, step, like)?.t();
    }
    wave(&shape, step, like)
}

/// Of `(batch, m, n, k)`, with factors that are stored by rows or by columns.
fn product((b, m, n, k): (usize, usize, usize, usize), (left, right): (bool, bool), dtypes: &[DType]) -> Result<()> {
    compare(1e-3, dtypes, |x| {
        let scale = 1. / (k as f64).sqrt();
        factor(&[b, m, k], left, 0.37, x)?.matmul(&factor(&[b, k, n], right, 0.21, x)?)? * scale
    })
}

/// Of the left and the right factor.
const BY_COLUMNS: [(bool, bool); 4] = [(false, true), (false, false), (true, false), (true, true)];

#[test]
fn matrices() -> Result<()> {
    let _guard = Guard::comparing();
    for (architecture, by_columns) in ARCHITECTURES.iter().flat_map(|a| BY_COLUMNS.map(|by_columns| (a, by_columns))) {
        soft_metal::set_architecture(architecture);
        product((2, 20, 33, 17), by_columns, FLOATS)?; // tiles that are not full
        product((1, 64, 64, 32), by_columns, FLOATS)?; // tiles that are
        product((2, 9, 20, 17), by_columns, FLOATS)?; // the smallest tiles
    }
    Ok(())
}

/// More than a million results make candle choose other tiles on the largest GPUs.
#[test]
fn many_matrices() -> Result<()> {
    let _guard = Guard::comparing();
    soft_metal::set_architecture(ARCHITECTURES[0]);
    product((256, 64, 64, 16), BY_COLUMNS[0], FLOATS)?;
    for by_columns in &BY_COLUMNS[1..] {
        product((1024, 32, 32, 64), *by_columns, NARROW)?;
    }
    soft_metal::set_architecture(ARCHITECTURES[2]);
    Ok(())
}

/// `(rows, columns)` of matrices that candle multiplies with a column, or a row with, by kernels of their own.
const MATRICES: &[(usize, usize)] =
    &[(3, 20), (20, 20), (3, 80), (20, 80), (4, 80), (20, 400), (4100, 80), (520, 30), (2080, 30)];

#[test]
fn rows_and_columns() -> Result<()> {
    let _guard = Guard::comparing();
    for &(rows, columns) in MATRICES {
        compare(2e-3, FLOATS, |x| {
            let scale = 1. / (columns as f64).sqrt();
            wave(&[rows, columns], 0.37, x)?.matmul(&wave(&[columns, 1], 0.21, x)?)? * scale
        })?;
        // A row has fewer than 32 elements here, or full blocks of columns: see faults.rs.
        let inner = if rows % 32 == 0 { columns } else { 30 };
        compare(2e-3, FLOATS, |x| {
            let scale = 1. / (inner as f64).sqrt();
            wave(&[1, inner], 0.37, x)?.matmul(&wave(&[inner, rows], 0.21, x)?)? * scale
        })?;
    }
    Ok(())
}

fn attention((n_queries, n_keys, d): (usize, usize, usize), mask: bool, dtypes: &[DType]) -> Result<()> {
    compare(2e-3, dtypes, |x| {
        let (q, k) = (wave(&[1, 2, n_queries, d], 0.37, x)?, wave(&[1, 2, n_keys, d], 0.21, x)?);
        let (v, scale) = (wave(&[1, 2, n_keys, d], 0.13, x)?, 1. / (d as f64).sqrt());
        let mask = if mask { Some(wave(&[1, 2, n_queries, n_keys], 0.29, x)?) } else { None };
        if x.device().is_metal() {
            return candle_nn::ops::sdpa(&q, &k, &v, mask.as_ref(), false, scale as f32, 1.0);
        }
        let mut scores = (q.matmul(&k.t()?)? * scale)?;
        if let Some(mask) = mask {
            scores = (scores + mask)?;
        }
        candle_nn::ops::softmax_last_dim(&scores)?.matmul(&v)
    })
}

/// Fused attention of many queries: SIMD-group matrices and function constants.
#[test]
fn attention_of_many_queries() -> Result<()> {
    let _guard = Guard::comparing();
    for d in [32, 64, 72, 80, 96, 128, 256] {
        attention((16, 40, d), d % 64 == 0, FLOATS)?;
    }
    attention((32, 64, 64), false, FLOATS)?; // full tiles
    attention((16, 40, 512), false, NARROW)
}

#[test]
fn attention_of_one_query() -> Result<()> {
    let _guard = Guard::comparing();
    for d in [32, 64, 96, 128, 256, 512] {
        attention((1, 40, d), false, FLOATS)?;
        attention((1, 1030, d), false, FLOATS)?; // in two passes
    }
    Ok(())
}

const QUANTIZED: &[GgmlDType] = &[
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q2K,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

pub fn quantized(kind: GgmlDType, device: &Device) -> Result<QTensor> {
    let w = Tensor::arange(0f32, 256. * 8., &Device::Cpu)?.affine(0.011, 0.)?.sin()?.reshape((8, 256))?;
    QTensor::quantize(&w.to_device(device)?, kind)
}

/// Of one row, of several, and rows by their numbers.
#[test]
fn quantized_weights() -> Result<()> {
    let _guard = Guard::comparing();
    for &kind in QUANTIZED {
        for rows in [1, 4] {
            if rows == 1 && kind == GgmlDType::Q2K {
                continue; // see faults.rs
            }
            compare(0.1, &[DType::F32], |x| {
                QMatMul::from_qtensor(quantized(kind, x.device())?)?.forward(&wave(&[rows, 256], 0.007, x)?)
            })?;
        }
        compare(0.01, &[DType::F32], |x| {
            quantized(kind, x.device())?.embedding(&Tensor::new(&[5u32, 0, 7], x.device())?)
        })?;
    }
    Ok(())
}
