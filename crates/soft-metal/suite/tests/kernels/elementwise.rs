//! One number from one, two or three numbers, in every layout that has a kernel of its own.

use crate::compare::*;
use candle_core::{DType, IndexOp, Result, Tensor};
use soft_metal::Guard;

/// The same matrix, by rows and by columns.
fn layouts(x: &Tensor) -> Result<[Tensor; 2]> {
    Ok([x.contiguous()?, x.t()?.contiguous()?.t()?])
}

const UNARY: &[Unary] = &[
    Tensor::exp,
    Tensor::sin,
    Tensor::cos,
    Tensor::tanh,
    Tensor::sqr,
    Tensor::neg,
    Tensor::abs,
    Tensor::ceil,
    Tensor::floor,
    Tensor::round,
    Tensor::gelu,
    Tensor::gelu_erf,
    Tensor::silu,
    Tensor::relu,
    Tensor::erf,
    |x| x.elu(1.0),
    |x| x.affine(2.5, -1.0),
];

/// candle has no strided kernels in use for these.
const UNARY_CONTIGUOUS: &[Unary] = &[Tensor::sign, candle_nn::ops::sigmoid];

/// Of positive numbers.
const UNARY_POSITIVE: &[Unary] = &[Tensor::log, Tensor::sqrt, |x| x.powf(1.5)];

#[test]
fn unary() -> Result<()> {
    let _guard = Guard::comparing();
    for f in UNARY {
        compare(1e-4, FLOATS, f)?;
        compare(1e-4, FLOATS, |x| f(&x.transpose(0, 2)?))?;
    }
    for f in UNARY_CONTIGUOUS {
        compare(1e-4, FLOATS, f)?;
    }
    for f in UNARY_POSITIVE {
        let positive = |x: &Tensor| x.abs()? + 0.5;
        compare(1e-4, FLOATS, |x| f(&positive(x)?))?;
        compare(1e-4, FLOATS, |x| f(&positive(x)?.transpose(0, 2)?))?;
    }
    compare(1e-4, FLOATS, |x| (x.abs()? + 0.5)?.recip())
}

#[test]
fn unary_of_integers() -> Result<()> {
    let _guard = Guard::comparing();
    for layout in [0, 1] {
        compare_on(coarse, 0., INTEGERS, |x| layouts(&x.i(1)?)?[layout].affine(2.0, 1.0))?;
    }
    Ok(())
}

const ARITHMETIC: &[Binary] =
    &[Tensor::add, Tensor::sub, Tensor::mul, Tensor::div, |a, b| a.maximum(b), |a, b| a.minimum(b)];

const COMPARISONS: &[Binary] =
    &[|a, b| a.eq(b), |a, b| a.ne(b), |a, b| a.lt(b), |a, b| a.le(b), |a, b| a.gt(b), |a, b| a.ge(b)];

/// By rows, by columns, and one number for all.
fn operands(x: &Tensor) -> Result<[Tensor; 3]> {
    let [rows, columns] = layouts(x)?;
    Ok([rows, columns, x.i((1, 2))?.broadcast_as(x.shape())?])
}

#[test]
fn binary() -> Result<()> {
    let _guard = Guard::comparing();
    for (functions, first) in [(ARITHMETIC, 0), (COMPARISONS, 1)] {
        for (f, layout) in functions.iter().flat_map(|f| (0..9).map(move |layout| (f, layout))) {
            compare_on(coarse, 1e-5, ALL, |x| {
                let (a, b) = (operands(&x.i(first)?)?, operands(&x.i(first + 1)?)?);
                f(&a[layout / 3], &b[layout % 3])
            })?;
        }
    }
    Ok(())
}

#[test]
fn choices() -> Result<()> {
    let _guard = Guard::comparing();
    for layout in [0, 1] {
        compare_on(coarse, 0., ALL, |x| {
            let (a, b) = (layouts(&x.i(1)?)?, layouts(&x.i(2)?)?);
            a[layout].ge(&b[layout])?.where_cond(&a[layout], &b[layout])
        })?;
        compare_on(coarse, 0., &[DType::F32], |x| {
            let (a, b) = (layouts(&x.i(1)?)?, layouts(&x.i(2)?)?);
            a[layout].ge(&b[layout])?.to_dtype(DType::U32)?.where_cond(&a[layout], &b[layout])
        })?;
    }
    Ok(())
}

#[test]
fn casts() -> Result<()> {
    let _guard = Guard::comparing();
    // Negative numbers have no fixed value in unsigned integers.
    let positive = |dtype: DType| if dtype.is_float() { coarse(dtype)? + 1.5 } else { coarse(dtype) };
    for (&to, layout) in ALL.iter().flat_map(|to| [(to, 0), (to, 1)]) {
        compare_on(positive, 0., ALL, |x| layouts(&x.i(0)?)?[layout].to_dtype(to))?;
    }
    Ok(())
}

#[test]
fn copies() -> Result<()> {
    let _guard = Guard::comparing();
    compare(0., ALL, |x| x.transpose(0, 2)?.contiguous())?; // every element on its own
    compare(0., ALL, |x| x.i((.., 1..3))?.contiguous())?; // blocks
    compare(0., &[DType::I16, DType::I32], |x| x.i((.., 1..3))?.contiguous())?;
    compare(0., FLOATS, |x| x.i((1.., .., 2..5))?.broadcast_add(&x.i((0, 0, 0))?))
}

#[test]
fn constants() -> Result<()> {
    let _guard = Guard::comparing();
    compare(0., ALL, |x| {
        let x = x.force_contiguous()?; // `copy` would share the buffer
        x.i(1)?.one_set()?;
        x.i(2)?.t()?.i(..3)?.zero_set()?;
        Ok(x)
    })
}
