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
    compare(1e-4, ALL, candle_nn::ops::silu)?;
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
    // Of numbers far from each other: candle subtracts the mean in the tensor's own dtype.
    compare(1e-3, ALL, |x| {
        let (w, b) = (Tensor::ones(5, x.dtype(), x.device())?, Tensor::zeros(5, x.dtype(), x.device())?);
        layer_norm(&x.transpose(0, 2)?.contiguous()?, &w, &b, 1e-5)
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
    for (n_queries, n_keys, d) in [(1, 40, 64), (16, 40, 64)] {
        compare(2e-3, ALL, |x| {
            let (dtype, device) = (x.dtype(), x.device());
            let wave = |n: usize, step: f64| {
                let t = Tensor::arange(0f32, (2 * n * d) as f32, &Device::Cpu)?.affine(step, 0.3)?.sin()?;
                t.reshape((1, 2, n, d))?.to_dtype(dtype)?.to_device(device)
            };
            let (q, k, v) = (wave(n_queries, 0.37)?, wave(n_keys, 0.21)?, wave(n_keys, 0.13)?);
            if device.is_metal() {
                return candle_nn::ops::sdpa(&q, &k, &v, None, false, 0.125, 1.0);
            }
            candle_nn::ops::softmax_last_dim(&(q.matmul(&k.t()?)? * 0.125)?)?.matmul(&v)
        })?;
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

/// Every unary kernel, on values in its domain.
#[test]
fn unary() -> Result<()> {
    let _guard = Guard::new();
    let any: &[fn(&Tensor) -> Result<Tensor>] = &[
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
        Tensor::sign,
        |x| x.elu(1.0),
        candle_nn::ops::sigmoid,
    ];
    for f in any {
        compare(1e-4, ALL, f)?;
    }
    let positive: &[fn(&Tensor) -> Result<Tensor>] = &[Tensor::log, Tensor::sqrt, Tensor::recip, |x| x.powf(1.5)];
    for f in positive {
        compare(1e-4, ALL, |x| f(&(x.abs()? + 0.5)?))?;
    }
    Ok(())
}

#[test]
fn binary() -> Result<()> {
    let _guard = Guard::new();
    let all: &[fn(&Tensor, &Tensor) -> Result<Tensor>] = &[
        Tensor::add,
        Tensor::sub,
        Tensor::mul,
        |a, b| a.maximum(b),
        |a, b| a.minimum(b),
        |a, b| a.div(&(b.abs()? + 0.5)?),
        |a, b| a.eq(b)?.to_dtype(DType::F32),
        |a, b| a.ne(b)?.to_dtype(DType::F32),
        |a, b| a.lt(b)?.to_dtype(DType::F32),
        |a, b| a.le(b)?.to_dtype(DType::F32),
        |a, b| a.gt(b)?.to_dtype(DType::F32),
        |a, b| a.ge(b)?.to_dtype(DType::F32),
    ];
    for f in all {
        compare(1e-5, ALL, |x| f(&x.i(0)?, &x.i(1)?))?;
        compare(1e-5, ALL, |x| f(&x.i(0)?.t()?, &x.i(1)?.t()?))?; // strided
    }
    Ok(())
}

#[test]
fn casts() -> Result<()> {
    let _guard = Guard::new();
    for to in [DType::F32, DType::F16, DType::BF16, DType::U8, DType::U32, DType::I64] {
        compare(1e-2, ALL, |x| x.abs()?.floor()?.to_dtype(to)?.to_dtype(DType::F32))?;
    }
    Ok(())
}

#[test]
fn scattering_and_sorting() -> Result<()> {
    let _guard = Guard::new();
    let ids = |d: &Device| Tensor::new(&[1u32, 0, 3, 5, 2, 4], d);
    compare(1e-4, ALL, |x| x.index_add(&ids(x.device())?, x, 1))?;
    compare(1e-4, ALL, |x| {
        let ids = ids(x.device())?.reshape((6, 1))?.broadcast_as((6, 7))?.contiguous()?;
        x.i(0)?.contiguous()?.scatter_add(&ids, &x.i(1)?.contiguous()?, 0)
    })?;
    compare(1e-4, ALL, |x| x.contiguous()?.neg()?.sort_last_dim(true).map(|s| s.0))
}

#[test]
fn convolutions_and_pools() -> Result<()> {
    let _guard = Guard::new();
    compare(1e-3, ALL, |x| x.conv1d(&x.i((..2, .., ..3))?.contiguous()?, 1, 1, 1, 1))?;
    compare(1e-3, ALL, |x| {
        let (image, kernel) = (x.reshape((1, 5, 6, 7))?, x.i((.., ..2, ..2))?.contiguous()?.reshape((1, 5, 2, 2))?);
        image.conv2d(&kernel, 1, 1, 1, 1)
    })?;
    compare(1e-3, ALL, |x| x.reshape((1, 5, 6, 7))?.avg_pool2d(2))?;
    compare(1e-3, ALL, |x| x.reshape((1, 5, 6, 7))?.max_pool2d(2))?;
    compare(1e-3, ALL, |x| x.reshape((1, 5, 6, 7))?.upsample_nearest2d(9, 14))
}

#[test]
fn rotations() -> Result<()> {
    use candle_nn::rotary_emb::{rope, rope_i};
    let _guard = Guard::new();
    let rotate = |x: &Tensor, f: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
        let x = x.i((..4, .., ..6))?.contiguous()?.reshape((1, 4, 6, 6))?;
        let angles = Tensor::arange(0f32, 18., x.device())?.reshape((6, 3))?.affine(0.1, 0.)?;
        f(&x, &angles.cos()?.to_dtype(x.dtype())?, &angles.sin()?.to_dtype(x.dtype())?)
    };
    compare(1e-4, ALL, |x| rotate(x, rope))?;
    compare(1e-4, ALL, |x| rotate(x, rope_i))
}

#[test]
fn quantized_products() -> Result<()> {
    use candle_core::Module;
    use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
    let _guard = Guard::new();
    let w = Tensor::arange(0f32, 256. * 8., &Device::Cpu)?.affine(0.011, 0.)?.sin()?.reshape((8, 256))?;
    for kind in [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K] {
        let product = |device: &Device| -> Result<Tensor> {
            let x = Tensor::arange(0f32, 256. * 2., &Device::Cpu)?.affine(0.007, 0.)?.cos()?.reshape((2, 256))?;
            let w = QTensor::quantize(&w.to_device(device)?, kind)?;
            QMatMul::from_qtensor(w)?.forward(&x.to_device(device)?)
        };
        close(&product(&metal()?)?, &product(&Device::Cpu)?, 0.1)?;
    }
    Ok(())
}
