//! One product, by any engine.

use std::time::Instant;

use candle_core::{DType, Device, MetalDevice, Tensor};

use crate::apple::{self, Error};
use crate::plan::{DataType, Engine};
use crate::policy::{Bucket, Storage};
use crate::tensor::{MatMulOptions, MpsMatMul};

/// A product at the smallest sizes of a bucket: its factors, as they are stored.
pub struct Measured {
    device: MetalDevice,
    bucket: Bucket,
    left: Tensor,
    right: Tensor,
    /// What is added where numbers are compared: an engine must read it rightly, too.
    addend: Tensor,
}

impl Measured {
    /// A product of random numbers in `[-1, 1)`.
    pub fn new(device: &MetalDevice, bucket: Bucket) -> Result<Self, Error> {
        let [m, n, k] = bucket.log2.map(|log2| 1usize << log2);
        let [transpose_left, transpose_right] = transposes(bucket.storage);
        let stored = |rows: usize, columns: usize, transposed: bool| {
            let dims = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            let numbers = Tensor::rand(-1f32, 1f32, dims, &Device::Metal(device.clone()))?;
            numbers.to_dtype(candle_dtype(bucket.dtype))
        };
        Ok(Self {
            device: device.clone(),
            bucket,
            left: stored(m, k, transpose_left)?,
            right: stored(k, n, transpose_right)?,
            addend: stored(m, n, false)?,
        })
    }

    fn multiply(
        &self,
        engine: Engine,
        [left, right]: [&Tensor; 2],
        addend: Option<&Tensor>,
    ) -> Result<Tensor, Error> {
        let [transpose_left, transpose_right] = transposes(self.bucket.storage);
        let options = MatMulOptions {
            transpose_left,
            transpose_right,
            engine: Some(engine),
            addend,
            ..MatMulOptions::default()
        };
        let product = left.mps_matmul_with(right, &options);
        product.map_err(|error| Error::Candle(error.into()))
    }

    /// Seconds of one of `runs` products, with one wait for all.
    pub fn secs(&self, engine: Engine, runs: u32) -> Result<f64, Error> {
        apple::sync(&self.device)?;
        let began = Instant::now();
        for _ in 0..runs {
            drop(self.multiply(engine, [&self.left, &self.right], None)?);
        }
        apple::sync(&self.device)?;
        Ok(began.elapsed().as_secs_f64() / f64::from(runs))
    }

    /// Microseconds of both engines, which take turns; the first turn does not count.
    pub fn in_turns(
        &self,
        engines: [Engine; 2],
        runs: u32,
        repeats: usize,
    ) -> Result<[Vec<f64>; 2], Error> {
        let mut micros = [vec![], vec![]];
        for turn in 0..=repeats {
            for (engine, micros) in engines.into_iter().zip(&mut micros) {
                let secs = self.secs(engine, runs)?;
                if turn > 0 {
                    micros.push(secs * 1e6);
                }
            }
        }
        Ok(micros)
    }

    /// Whether `engine` gives the numbers of candle's GEMM, and the same ones twice; with something to
    /// add, too, if that is what it is for.
    pub fn is_right(&self, engine: Engine) -> Result<bool, Error> {
        let adds = engine == Engine::Matrix;
        Ok(self.agrees(engine, None)? && (!adds || self.agrees(engine, Some(&self.addend))?))
    }

    fn agrees(&self, engine: Engine, addend: Option<&Tensor>) -> Result<bool, Error> {
        let factors = [&self.left, &self.right];
        let steel = self.multiply(Engine::Steel, factors, addend)?;
        let first = self.multiply(engine, factors, addend)?;
        let second = self.multiply(engine, factors, addend)?;
        if !all(&first.eq(&second)?)? {
            return Ok(false);
        }
        let absolute = [&self.left.abs()?, &self.right.abs()?];
        let addend = addend.map(Tensor::abs).transpose()?;
        let sums = self.multiply(Engine::Steel, absolute, addend.as_ref())?;
        let limit = (sums.to_dtype(DType::F32)? * self.rounding())?;
        let wide = |t: &Tensor| t.to_dtype(DType::F32);
        let difference = (wide(&first)? - wide(&steel)?)?.abs()?;
        all(&difference.le(&limit)?)
    }

    /// How far two sums of `K` products can be apart, as a part of the sum of their absolutes: float32
    /// is rounded at every addition, and the results once more (Higham, Accuracy and Stability of
    /// Numerical Algorithms, 3.1).
    fn rounding(&self) -> f64 {
        let unit = match self.bucket.dtype {
            DataType::BFloat16 => 2f64.powi(-8),
            DataType::Float16 => 2f64.powi(-11),
            _ => 2f64.powi(-24),
        };
        let k = 2f64.powi(self.bucket.log2[2] as i32);
        2.0 * (k * 2f64.powi(-24) + unit)
    }
}

/// Whether no element is 0.
fn all(mask: &Tensor) -> Result<bool, Error> {
    let least = mask.to_dtype(DType::F32)?.flatten_all()?.min(0)?;
    Ok(least.to_scalar::<f32>()? == 1.0)
}

fn transposes(storage: Storage) -> [bool; 2] {
    match storage {
        Storage::Nn => [false, false],
        Storage::Nt => [false, true],
        Storage::Tn => [true, false],
        Storage::Tt => [true, true],
    }
}

fn candle_dtype(dtype: DataType) -> DType {
    match dtype {
        DataType::Float16 => DType::F16,
        DataType::BFloat16 => DType::BF16,
        _ => DType::F32,
    }
}
