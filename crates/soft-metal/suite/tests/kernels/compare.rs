//! The same operation on software Metal and on candle's CPU backend.

use candle_core::{DType, Device, Result, Tensor};

pub const FLOATS: &[DType] = &[DType::F32, DType::F16, DType::BF16];
pub const INTEGERS: &[DType] = &[DType::U8, DType::U32, DType::I64];
pub const ALL: &[DType] = &[DType::F32, DType::F16, DType::BF16, DType::U8, DType::U32, DType::I64];

pub type Unary = fn(&Tensor) -> Result<Tensor>;
pub type Binary = fn(&Tensor, &Tensor) -> Result<Tensor>;

pub fn metal() -> Result<Device> {
    Device::new_metal(0)
}

/// (5, 6, 7), all different: from -3.1 on in floating point, from 0 on in integers.
pub fn distinct(dtype: DType) -> Result<Tensor> {
    let x = Tensor::arange(0f32, 210., &Device::Cpu)?;
    let x = if dtype.is_float() { x.affine(0.03, -3.1)? } else { x };
    x.reshape((5, 6, 7))?.to_dtype(dtype)
}

/// (5, 6, 7), few different ones, no zero, exact in every dtype, and so small that neither their sums in a row nor their
/// products leave it; integers are larger in the first matrix than in the others.
pub fn coarse(dtype: DType) -> Result<Tensor> {
    let number = |i: usize| {
        let n = (i * (i / 42 + 1) % 7) as f32;
        if dtype.is_float() { n * 0.5 - 1.25 } else { n + if i < 42 { 8. } else { 1. } }
    };
    Tensor::from_iter((0..210).map(number), &Device::Cpu)?.reshape((5, 6, 7))?.to_dtype(dtype)
}

/// A wave of any shape, on the device of `like` and in its dtype.
pub fn wave(shape: &[usize], step: f64, like: &Tensor) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    let t = Tensor::arange(0f32, n as f32, &Device::Cpu)?.affine(step, 0.3)?.sin()?;
    t.reshape(shape)?.to_dtype(DType::F16)?.to_dtype(like.dtype())?.to_device(like.device())
}

/// What [`compare`] holds against each other, as f32.
fn values(t: &Tensor) -> Result<Vec<f32>> {
    t.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// Every element within `tolerance`, relative and absolute.
pub fn close(got: &Tensor, expected: &Tensor, tolerance: f32) -> Result<()> {
    assert_eq!(got.dims(), expected.dims());
    for (i, (x, y)) in values(got)?.into_iter().zip(values(expected)?).enumerate() {
        let near = (x - y).abs() <= tolerance * (1.0 + y.abs()) || (x.is_nan() && y.is_nan());
        assert!(near, "at {i}: {x}, expected {y}, in {:?}", got.dtype());
    }
    Ok(())
}

/// `f` on software Metal against `f` on the CPU, which computes in f32 where `input` has fewer bits, on the same numbers.
pub fn compare_on(
    input: fn(DType) -> Result<Tensor>,
    tolerance: f32,
    dtypes: &[DType],
    f: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    for &dtype in dtypes {
        let x = input(dtype)?;
        let (tolerance, wide) = match dtype {
            DType::F16 => (tolerance.max(4e-3), x.to_dtype(DType::F32)?),
            DType::BF16 => (tolerance.max(3e-2), x.to_dtype(DType::F32)?),
            _ => (tolerance, x.clone()),
        };
        close(&f(&x.to_device(&metal()?)?)?, &f(&wide)?, tolerance)?;
    }
    Ok(())
}

/// On [`distinct`] numbers.
pub fn compare(tolerance: f32, dtypes: &[DType], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    compare_on(distinct, tolerance, dtypes, f)
}
