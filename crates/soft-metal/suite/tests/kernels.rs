//! candle's own MSL kernels on the CPU, compared with candle's CPU backend in f32, f16 and bf16.

use candle_core::{DType, Device, IndexOp, Result, Tensor, Var};
use soft_metal::Guard;

const ALL: &[DType] = &[DType::F32, DType::F16, DType::BF16];

fn metal() -> Result<Device> {
    Device::new_metal(0)
}

fn values(t: &Tensor) -> Result<Vec<f32>> {
    t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// Every element within `tolerance`, relative and absolute.
fn close(got: &Tensor, expected: &Tensor, tolerance: f32) -> Result<()> {
    assert_eq!(got.dims(), expected.dims());
    for (i, (x, y)) in values(got)?.into_iter().zip(values(expected)?).enumerate() {
        let near = (x - y).abs() <= tolerance * (1.0 + y.abs()) || (x.is_nan() && y.is_nan());
        assert!(near, "at {i}: {x}, expected {y}");
    }
    Ok(())
}

/// `f` on software Metal against `f` on the CPU in f32, on the same rounded values.
fn compare(tolerance: f32, dtypes: &[DType], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let x = Tensor::arange(0f32, 210., &Device::Cpu)?.affine(0.03, -3.1)?.reshape((5, 6, 7))?;
    for &dtype in dtypes {
        let tolerance = match dtype {
            DType::F32 => tolerance,
            DType::F16 => tolerance.max(4e-3),
            _ => tolerance.max(3e-2),
        };
        let x = x.to_dtype(dtype)?;
        close(&f(&x.to_device(&metal()?)?)?, &f(&x.to_dtype(DType::F32)?)?, tolerance)?;
    }
    Ok(())
}

#[test]
fn elementwise() -> Result<()> {
    let _guard = Guard::new();
    compare(1e-5, ALL, |x| x.affine(2.5, -1.0))?;
    compare(1e-5, ALL, |x| x.exp()? + x.sin()?)?;
    compare(1e-4, ALL, |x| x.gelu_erf()?.tanh()? * x.sqr()?)?;
    compare(1e-4, ALL, |x| candle_nn::ops::silu(x))?;
    compare(1e-5, ALL, |x| x.transpose(0, 2)?.contiguous()? * 2.0)?;
    compare(1e-5, ALL, |x| x.i((1.., .., 2..5))?.broadcast_add(&x.i((0, 0, 0))?))?;
    compare(1e-5, ALL, |x| x.ge(0.5)?.where_cond(x, &x.neg()?))?;
    compare(1e-5, ALL, |x| x.abs()?.to_dtype(DType::F32)?.to_dtype(DType::U8)?.to_dtype(DType::F32))
}

#[test]
fn indexing() -> Result<()> {
    let _guard = Guard::new();
    compare(1e-5, ALL, |x| x.index_select(&Tensor::new(&[4u32, 0, 2], x.device())?, 1))?;
    compare(1e-5, ALL, |x| x.i(0)?.gather(&Tensor::new(&[[1u32], [0], [6], [3], [3], [2]], x.device())?, 1))
}

#[test]
fn reductions() -> Result<()> {
    let _guard = Guard::new();
    compare(1e-4, ALL, |x| x.sum_keepdim(2))?;
    compare(1e-4, ALL, |x| x.max(1))?;
    compare(1e-4, ALL, |x| x.sum_all())?;
    compare(1e-4, ALL, |x| x.argmax(2)?.to_dtype(DType::F32))?;
    compare(1e-4, ALL, |x| x.cumsum(1))
}

#[test]
fn norms_and_softmax() -> Result<()> {
    use candle_nn::ops::{layer_norm, rms_norm, softmax_last_dim};
    let _guard = Guard::new();
    compare(1e-4, ALL, softmax_last_dim)?;
    compare(1e-3, ALL, |x| rms_norm(&x.contiguous()?, &Tensor::ones(7, x.dtype(), x.device())?, 1e-5))?;
    compare(1e-3, &[DType::F32], |x| {
        let (w, b) = (Tensor::ones(7, x.dtype(), x.device())?, Tensor::zeros(7, x.dtype(), x.device())?);
        layer_norm(&x.contiguous()?, &w, &b, 1e-5)
    })
}

#[test]
fn matmul() -> Result<()> {
    let _guard = Guard::new();
    compare(1e-4, ALL, |x| x.flatten(0, 1)?.matmul(&x.flatten(0, 1)?.t()?))?; // 30x30, unaligned tiles
    compare(1e-4, ALL, |x| x.i(0)?.t()?.matmul(&x.i(1)?))?;
    compare(1e-4, ALL, |x| x.matmul(&x.transpose(1, 2)?.contiguous()?))?;
    compare(1e-4, ALL, |x| x.i((0, ..1))?.matmul(&x.i(1)?.t()?)) // one row: the vector kernels
}

/// Fused attention: SIMD-group matrices and function constants.
#[test]
fn attention() -> Result<()> {
    let _guard = Guard::new();
    let device = metal()?;
    for (n_queries, n_keys, d) in [(1, 40, 64), (16, 40, 64)] {
        let wave = |n: usize, step: f64| {
            Tensor::arange(0f32, (2 * n * d) as f32, &Device::Cpu)?.affine(step, 0.3)?.sin()?.reshape((1, 2, n, d))
        };
        let (q, k, v) = (wave(n_queries, 0.37)?, wave(n_keys, 0.21)?, wave(n_keys, 0.13)?);
        let weights = candle_nn::ops::softmax_last_dim(&(q.matmul(&k.t()?)? * 0.125)?)?;
        let [q, k, v_metal] = [&q, &k, &v].map(|t| t.to_device(&device));
        let got = candle_nn::ops::sdpa(&q?, &k?, &v_metal?, None, false, 0.125, 1.0)?;
        close(&got, &weights.matmul(&v)?, 2e-3)?;
    }
    Ok(())
}

/// Three steps of training, backward pass and all.
#[test]
fn training() -> Result<()> {
    let _guard = Guard::new();
    let losses = |device: &Device| -> Result<Vec<f32>> {
        let w = Tensor::arange(0f32, 12., &Device::Cpu)?.affine(0.1, -0.5)?.reshape((3, 4))?;
        let w = Var::from_tensor(&w.to_device(device)?)?;
        let x = Tensor::arange(0f32, 15., &Device::Cpu)?.affine(0.05, 0.)?.reshape((5, 3))?.to_device(device)?;
        let y = Tensor::new(&[0u32, 3, 1, 2, 0], device)?;
        let mut losses = vec![];
        for _ in 0..3 {
            let loss = candle_nn::loss::cross_entropy(&x.matmul(w.as_tensor())?.gelu()?, &y)?;
            let gradients = loss.backward()?;
            w.set(&(w.as_tensor() - (gradients.get(w.as_tensor()).expect("a gradient") * 0.5)?)?)?;
            losses.push(loss.to_scalar()?);
        }
        Ok(losses)
    };
    let (got, expected) = (losses(&metal()?)?, losses(&Device::Cpu)?);
    assert!(got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {expected:?}");
    assert!(got[2] < got[0], "{got:?}");
    Ok(())
}
