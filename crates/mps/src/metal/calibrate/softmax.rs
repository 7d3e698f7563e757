//! Softmax, by our own kernel and by MPS.

use candle_core::{DType, Device, MetalDevice, Tensor};

use super::OwnSoftmax;
use super::contest::{Contest, all, is_near, rounding};
use crate::apple::Error;
use crate::tensor::mps_softmax;

/// Rows at the smallest sizes of a cell.
pub struct Softmax<'a> {
    x: Tensor,
    own: OwnSoftmax<'a>,
}

impl<'a> Softmax<'a> {
    /// Rows of random numbers in `[-4, 4)`.
    pub fn new(
        device: &MetalDevice,
        dtype: DType,
        log2: [u32; 2],
        own: OwnSoftmax<'a>,
    ) -> Result<Self, Error> {
        let dims = (1usize << log2[0], 1usize << log2[1]);
        let x = Tensor::rand(-4f32, 4f32, dims, &Device::Metal(device.clone()))?;
        let x = x.to_dtype(dtype)?;
        Ok(Self { x, own })
    }

    /// A number is as far off as sums of `D` positive terms are, and exponents up to 8 add 16 roundings of
    /// the last place. What rounds to one of float16 below the normal ones is a whole last place off.
    fn agrees(&self, x: &Tensor) -> Result<bool, Error> {
        let (own, first) = ((self.own)(x)?, mps(x)?);
        if !all(&first.eq(&mps(x)?)?)? {
            return Ok(false);
        }
        let least = match x.dtype() {
            DType::F16 => 2f64.powi(-24),
            _ => 0.0,
        };
        let rounding = rounding(x.dtype(), (x.dim(1)? + 16) as f64);
        let limit = own.to_dtype(DType::F32)?.affine(rounding, least)?;
        is_near(&first, &own, &limit)
    }
}

impl Contest for Softmax<'_> {
    fn without(&self) -> Result<Tensor, Error> {
        Ok((self.own)(&self.x)?)
    }

    fn by_mps(&self) -> Result<Tensor, Error> {
        mps(&self.x)
    }

    /// With numbers that are hidden, too, and with a row of these alone, which is NaN.
    fn is_right(&self) -> Result<bool, Error> {
        let hidden = self.x.affine(0.0, f64::NEG_INFINITY)?;
        let masked = self.x.lt(-2f64)?.where_cond(&hidden, &self.x)?;
        let row = mps(&hidden.get(0)?)?.to_dtype(DType::F32)?;
        // On the host: comparisons of candle's kernels are compiled with fast math.
        let is_nan = row.to_vec1::<f32>()?.iter().all(|y| y.is_nan());
        Ok(is_nan && self.agrees(&self.x)? && self.agrees(&masked)?)
    }
}

fn mps(x: &Tensor) -> Result<Tensor, Error> {
    mps_softmax(x).map_err(|error| Error::Candle(error.into()))
}
