//! One product, by candle's GEMM and by an engine of MPS.

use candle_core::{DType, Device, MetalDevice, Tensor};

use super::contest::{Contest, all, is_near, rounding};
use crate::apple::Error;
use crate::plan::Engine;
use crate::policy::{Bucket, Storage};
use crate::tensor::{MatMulOptions, MpsMatMul};

/// A product at the smallest sizes of a bucket: its factors, as they are stored.
pub struct Product {
    bucket: Bucket,
    /// The engine of MPS.
    engine: Engine,
    left: Tensor,
    right: Tensor,
    /// What is added where numbers are compared: an engine must read it rightly, too.
    addend: Tensor,
}

impl Product {
    /// A product of random numbers in `[-1, 1)`.
    pub fn new(device: &MetalDevice, engine: Engine, bucket: Bucket) -> Result<Self, Error> {
        let [m, n, k] = bucket.log2.map(|log2| 1usize << log2);
        let [transpose_left, transpose_right] = transposes(bucket.storage);
        let stored = |rows: usize, columns: usize, transposed: bool| {
            let dims = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            let numbers = Tensor::rand(-1f32, 1f32, dims, &Device::Metal(device.clone()))?;
            numbers.to_dtype(bucket.dtype)
        };
        Ok(Self {
            bucket,
            engine,
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

    fn agrees(&self, addend: Option<&Tensor>) -> Result<bool, Error> {
        let factors = [&self.left, &self.right];
        let steel = self.multiply(Engine::Steel, factors, addend)?;
        let first = self.multiply(self.engine, factors, addend)?;
        let second = self.multiply(self.engine, factors, addend)?;
        if !all(&first.eq(&second)?)? {
            return Ok(false);
        }
        let absolute = [&self.left.abs()?, &self.right.abs()?];
        let addend = addend.map(Tensor::abs).transpose()?;
        let sums = self.multiply(Engine::Steel, absolute, addend.as_ref())?;
        let rounding = rounding(self.bucket.dtype, 2f64.powi(self.bucket.log2[2] as i32));
        let limit = (sums.to_dtype(DType::F32)? * rounding)?;
        is_near(&first, &steel, &limit)
    }
}

impl Contest for Product {
    fn without(&self) -> Result<Tensor, Error> {
        self.multiply(Engine::Steel, [&self.left, &self.right], None)
    }

    fn by_mps(&self) -> Result<Tensor, Error> {
        self.multiply(self.engine, [&self.left, &self.right], None)
    }

    /// With something to add, too, if that is what the engine is for.
    fn is_right(&self) -> Result<bool, Error> {
        let adds = self.engine == Engine::Matrix;
        Ok(self.agrees(None)? && (!adds || self.agrees(Some(&self.addend))?))
    }
}

fn transposes(storage: Storage) -> [bool; 2] {
    match storage {
        Storage::Nn => [false, false],
        Storage::Nt => [false, true],
        Storage::Tn => [true, false],
        Storage::Tt => [true, true],
    }
}
