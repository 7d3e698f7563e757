//! One product, by candle's kernels or our own and by an engine of MPS.

use candle_core::{DType, Device, MetalDevice, Tensor};

use super::OwnProduct;
use super::contest::{Contest, all, is_near, rounding};
use crate::apple::Error;
use crate::plan::Engine;
use crate::policy::{ProductShape, Storage};
use crate::tensor::{MatMulOptions, MpsMatMul};

/// A product: its factors, as they are stored.
pub struct Product<'a> {
    shape: ProductShape,
    /// The engine of MPS.
    engine: Engine,
    left: Tensor,
    right: Tensor,
    /// What is added where numbers are compared: an engine must read it rightly, too.
    addend: Tensor,
    own: OwnProduct<'a>,
}

impl<'a> Product<'a> {
    /// A product of random numbers in `[-1, 1)`.
    pub fn new(
        device: &MetalDevice,
        engine: Engine,
        shape: ProductShape,
        own: OwnProduct<'a>,
    ) -> Result<Self, Error> {
        let [m, n, k] = shape.sizes;
        let [transpose_left, transpose_right] = transposes(shape.storage);
        let stored = |rows: usize, columns: usize, transposed: bool, dtype: DType| {
            let dims = if transposed {
                (columns, rows)
            } else {
                (rows, columns)
            };
            let numbers = Tensor::rand(-1f32, 1f32, dims, &Device::Metal(device.clone()))?;
            numbers.to_dtype(dtype)
        };
        Ok(Self {
            shape,
            engine,
            left: stored(m, k, transpose_left, shape.dtype)?,
            right: stored(k, n, transpose_right, shape.weight)?,
            addend: stored(m, n, false, shape.dtype)?,
            own,
        })
    }

    /// The product of factors of one element type.
    fn multiply(
        &self,
        engine: Engine,
        [left, right]: [&Tensor; 2],
        addend: Option<&Tensor>,
    ) -> Result<Tensor, Error> {
        let [transpose_left, transpose_right] = transposes(self.shape.storage);
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

    /// The engine of candle's that has such products without MPS.
    fn engine_without(&self) -> Engine {
        let [m, n, _] = self.shape.sizes;
        match m == 1 || n == 1 {
            true => Engine::Gemv,
            false => Engine::Steel,
        }
    }

    /// The product as the policy has it without MPS.
    fn computed(&self, addend: Option<&Tensor>) -> Result<Tensor, Error> {
        if self.shape.weight == self.shape.dtype {
            return self.multiply(self.engine_without(), [&self.left, &self.right], addend);
        }
        let [transpose_left, transpose_right] = transposes(self.shape.storage);
        let turned = |factor: &Tensor, is_turned| match is_turned {
            true => factor.t(),
            false => Ok(factor.clone()),
        };
        let left = turned(&self.left, transpose_left)?;
        Ok((self.own)(&left, &turned(&self.right, transpose_right)?)?)
    }

    /// The product of MPS, a factor of another element type cast for it alone.
    fn computed_by_mps(&self, addend: Option<&Tensor>) -> Result<Tensor, Error> {
        let right = self.right.to_dtype(self.shape.dtype)?;
        self.multiply(self.engine, [&self.left, &right], addend)
    }

    fn agrees(&self, addend: Option<&Tensor>) -> Result<bool, Error> {
        let without = self.computed(addend)?;
        let first = self.computed_by_mps(addend)?;
        let second = self.computed_by_mps(addend)?;
        if !all(&first.eq(&second)?)? {
            return Ok(false);
        }
        let wide = self.right.to_dtype(self.shape.dtype)?;
        let absolute = [&self.left.abs()?, &wide.abs()?];
        let addend = addend.map(Tensor::abs).transpose()?;
        let sums = self.multiply(self.engine_without(), absolute, addend.as_ref())?;
        let rounding = rounding(self.shape.dtype, self.shape.sizes[2] as f64);
        let limit = (sums.to_dtype(DType::F32)? * rounding)?;
        is_near(&first, &without, &limit)
    }
}

impl Contest for Product<'_> {
    fn without(&self) -> Result<Tensor, Error> {
        self.computed(None)
    }

    fn by_mps(&self) -> Result<Tensor, Error> {
        self.computed_by_mps(None)
    }

    /// With something to add, too, if that is what the engine is for.
    fn is_right(&self) -> Result<bool, Error> {
        let is_same = self.shape.weight == self.shape.dtype;
        let adds = self.engine == Engine::Matrix && is_same;
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
