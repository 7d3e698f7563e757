use super::Failure;
use candle_core::{DType, Device, Tensor};

/// Numbers of the truth, row after row.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Sizes of the dimensions.
    pub dims: Vec<usize>,
    /// Numbers, as many as the product of `dims`.
    pub data: Vec<f64>,
}

impl Array {
    /// `f` of every index, row after row.
    pub fn from_fn(dims: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Self {
        let mut index = vec![0; dims.len()];
        let mut data = vec![];
        for _ in 0..dims.iter().product() {
            data.push(f(&index));
            advance(&mut index, dims);
        }
        Self {
            dims: dims.to_vec(),
            data,
        }
    }

    /// The number at `index`; one index per dimension.
    #[must_use]
    pub fn at(&self, index: &[usize]) -> f64 {
        debug_assert_eq!(index.len(), self.dims.len());
        let sizes = self.dims.iter().zip(index);
        self.data[sizes.fold(0, |offset, (&size, &i)| offset * size + i)]
    }

    /// Rows of the last dimension.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        let width = self.dims.last().copied().unwrap_or(1);
        self.data.chunks_exact(width.max(1))
    }

    /// The numbers of a tensor on any device.
    ///
    /// # Errors
    /// When the tensor cannot be read.
    pub fn from_tensor(t: &Tensor) -> Result<Self, Failure> {
        let host = t.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        Ok(Self {
            dims: t.dims().to_vec(),
            data: host.flatten_all()?.to_vec1()?,
        })
    }

    /// A contiguous tensor on the host.
    ///
    /// # Errors
    /// When candle does not know the dtype.
    pub fn to_tensor(&self, dtype: DType) -> Result<Tensor, Failure> {
        let t = Tensor::from_vec(self.data.clone(), &self.dims[..], &Device::Cpu)?;
        Ok(t.to_dtype(dtype)?)
    }

    /// The numbers as `dtype` holds them.
    pub(super) fn rounded(&self, dtype: DType) -> Result<Self, Failure> {
        Self::from_tensor(&self.to_tensor(dtype)?)
    }
}

fn advance(index: &mut [usize], dims: &[usize]) {
    for (i, &size) in index.iter_mut().zip(dims).rev() {
        *i += 1;
        if *i < size {
            return;
        }
        *i = 0;
    }
}
