//! Weights on an Apple GPU, as products and gathers read them.

use super::{Packed, Weight};
use crate::metal::{
    DeviceMatrix, DeviceTensor, MatrixProduct, Onto, Room, Side, Source, add_product, is_by_mps,
    product, product_by_mps, product_with_room,
};
use candle_core::{Result, Tensor};

/// A weight `(N, K)` for as long as it is read.
pub(crate) enum OnMetal {
    Dense(DeviceTensor),
    Packed(Box<DeviceMatrix>),
}

impl OnMetal {
    pub(super) fn new(weight: &Weight) -> Result<Self> {
        Ok(match weight {
            Weight::Dense(tensor) => Self::Dense(DeviceTensor::of(tensor)?),
            Weight::Packed(packed) => Self::Packed(Box::new(matrix(packed.as_ref())?)),
        })
    }

    /// The matrix for kernels that unpack it, whatever it is.
    pub(crate) fn into_matrix(self) -> Result<DeviceMatrix> {
        match self {
            Self::Dense(dense) => DeviceMatrix::dense(dense),
            Self::Packed(matrix) => Ok(*matrix),
        }
    }

    /// `x W^T + bias`, `(M, N)` in the dtype of `x`.
    pub(crate) fn linear(
        &self,
        x: &DeviceTensor,
        bias: Option<&DeviceTensor>,
        room: Room,
    ) -> Result<DeviceTensor> {
        match self {
            Self::Dense(dense) => {
                let bias = bias.map(|bias| (1.0, bias));
                product_with_room(1.0, x, &dense.transposed()?, bias, room)
            }
            Self::Packed(matrix) => {
                let bias = bias.map(|bias| bias.broadcast(&[x.dims()[0], matrix.dims().0]));
                let bias = bias.transpose()?;
                let onto = match &bias {
                    Some(bias) => Onto::Addend(1.0, bias),
                    None => Onto::Nothing,
                };
                times(x, matrix, Side::Transposed, onto).run(room)
            }
        }
    }

    /// `dy W`, `(M, K)` in the dtype of `dy`.
    pub(crate) fn gradient(&self, dy: &DeviceTensor) -> Result<DeviceTensor> {
        match self {
            Self::Dense(dense) => product(1.0, dy, dense),
            Self::Packed(matrix) => times(dy, matrix, Side::AsItIs, Onto::Nothing).run(Room::None),
        }
    }

    /// Whether MPS computes `x W^T` for an `x` of the weight's dtype, by a measurement of just such products.
    pub(crate) fn is_by_mps(&self, x: &DeviceTensor) -> Result<bool> {
        match self {
            Self::Dense(dense) => is_by_mps(x, &dense.transposed()?),
            Self::Packed(_) => Ok(false),
        }
    }

    /// `dy W` by MPS, in the dtype of `dy` and with room for an addend; `None` where no measurement says that it is faster.
    pub(crate) fn gradient_by_mps(&self, dy: &DeviceTensor) -> Result<Option<DeviceTensor>> {
        match self {
            Self::Dense(dense) => product_by_mps(dy, dense),
            Self::Packed(_) => Ok(None),
        }
    }

    /// `dx + dy W` in the memory of `dx`, which nothing else holds.
    pub(crate) fn add_gradient(&self, dx: DeviceTensor, dy: &DeviceTensor) -> Result<DeviceTensor> {
        match self {
            Self::Dense(dense) => add_product(dx, 1.0, dy, dense),
            Self::Packed(matrix) => times(dy, matrix, Side::AsItIs, Onto::Result).run_in(dx),
        }
    }
}

/// A packed matrix as kernels read it.
fn matrix(packed: &dyn Packed) -> Result<DeviceMatrix> {
    let Some(msl) = packed.msl() else {
        candle_core::bail!("no Metal kernel reads {}", packed.kind());
    };
    let source = Source {
        name: msl.name,
        text: msl.text,
    };
    let [first, second, third] = msl.parts.map(DeviceTensor::of);
    let matrix = DeviceMatrix::new(source, [first?, second?, third?], packed.dims())?;
    Ok(matrix.with(msl.number, msl.options))
}

fn times<'a>(
    x: &'a DeviceTensor,
    matrix: &'a DeviceMatrix,
    side: Side,
    onto: Onto<'a>,
) -> MatrixProduct<'a> {
    let alpha = 1.0;
    MatrixProduct {
        alpha,
        x,
        matrix,
        side,
        onto,
    }
}

/// The rows `ids` of u32, `(ids)`, in float32: `(ids, K)`. NaN where there is no such row: to know
/// it the host would have to wait.
pub(super) fn gather(weight: &Weight, ids: &Tensor) -> Result<Tensor> {
    let ids = DeviceTensor::of(&ids.contiguous()?)?;
    let rows = OnMetal::new(weight)?.into_matrix()?.gather(&ids)?;
    Ok(rows.into_tensor())
}
