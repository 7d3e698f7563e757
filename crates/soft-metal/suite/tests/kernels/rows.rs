//! Reductions, norms, sorting: what goes over the elements of a row.

use crate::compare::*;
use candle_core::{DType, Device, Result, Tensor};
use soft_metal::Guard;

#[test]
fn sums() -> Result<()> {
    let _guard = Guard::comparing();
    compare(1e-4, FLOATS, |x| x.sum_all())?;
    compare(1e-4, FLOATS, |x| x.cumsum(1))?;
    for dimension in [1, 2] {
        compare_on(coarse, 1e-4, ALL, |x| x.sum(dimension))?;
    }
    Ok(())
}

#[test]
fn extremes() -> Result<()> {
    let _guard = Guard::comparing();
    let all: &[fn(&Tensor, usize) -> Result<Tensor>] =
        &[|x, d| x.min(d), |x, d| x.max(d), |x, d| x.argmin(d), |x, d| x.argmax(d)];
    for (f, dimension) in all.iter().flat_map(|f| [(f, 1), (f, 2)]) {
        compare(1e-4, ALL, |x| f(x, dimension))?;
    }
    Ok(())
}

#[test]
fn norms_and_softmax() -> Result<()> {
    use candle_nn::ops::{layer_norm, rms_norm, softmax_last_dim};
    let _guard = Guard::comparing();
    compare(1e-4, FLOATS, softmax_last_dim)?;
    compare(1e-3, FLOATS, |x| rms_norm(&x.contiguous()?, &Tensor::ones(7, x.dtype(), x.device())?, 1e-5))?;
    // Of numbers far from each other: candle subtracts the mean in the tensor's own dtype.
    compare(1e-3, FLOATS, |x| {
        let (w, b) = (Tensor::ones(5, x.dtype(), x.device())?, Tensor::zeros(5, x.dtype(), x.device())?);
        layer_norm(&x.transpose(0, 2)?.contiguous()?, &w, &b, 1e-5)
    })
}

#[test]
fn rotations() -> Result<()> {
    use candle_nn::rotary_emb::{rope, rope_i, rope_thd};
    let _guard = Guard::comparing();
    for f in [rope, rope_i, rope_thd] {
        compare(1e-4, FLOATS, |x| {
            let angles = Tensor::arange(0f32, 18., x.device())?.reshape((6, 3))?.affine(0.1, 0.)?;
            f(&wave(&[1, 6, 6, 6], 0.17, x)?, &angles.cos()?.to_dtype(x.dtype())?, &angles.sin()?.to_dtype(x.dtype())?)
        })?;
    }
    Ok(())
}

#[test]
fn sorting() -> Result<()> {
    let _guard = Guard::comparing();
    for ascending in [true, false] {
        compare(0., ALL, |x| {
            // The order of a shuffle, as 11 and 210 have no common divisor.
            let ids: Vec<u32> = (0..210).map(|i| i * 11 % 210).collect();
            let x = x.flatten_all()?.index_select(&Tensor::new(ids, x.device())?, 0)?.reshape((5, 42))?;
            x.arg_sort_last_dim(ascending)
        })?;
    }
    Ok(())
}

/// Random numbers have no counterpart on the CPU: their moments are those that were asked for.
#[test]
fn random_numbers() -> Result<()> {
    let _guard = Guard::comparing();
    for &dtype in FLOATS {
        let like = Tensor::zeros((64, 64), dtype, &metal()?)?;
        for (t, deviation) in [(like.rand_like(-1., 3.)?, 4. / 12f64.sqrt()), (like.randn_like(1., 2.)?, 2.)] {
            let t = t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?;
            let mean = t.mean_all()?.to_scalar::<f64>()?;
            let variance = (t - mean)?.sqr()?.mean_all()?.to_scalar::<f64>()?;
            assert!((mean - 1.).abs() < 0.15, "{dtype:?}: mean {mean}");
            assert!((variance.sqrt() / deviation - 1.).abs() < 0.1, "{dtype:?}: deviation {}", variance.sqrt());
        }
    }
    Ok(())
}
