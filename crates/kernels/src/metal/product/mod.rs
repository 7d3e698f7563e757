//! Products on an Apple GPU: by the engine that crates/mps chooses, and where dtypes differ, or a factor is
//! packed, or a product is thin and its sums are long, by kernels of our own, which copy nothing.

mod several;
mod split;
mod unpacked;

pub(crate) use metal_candle_mps::metal::Room;
pub(crate) use several::{FewRows, Kernels, Layer, Update};
pub(crate) use unpacked::{MatrixProduct, Onto, Side, ranges};

use super::{DeviceMatrix, DeviceTensor};
use candle_core::{DType, Result};
use metal_candle_mps::metal as mps;

/// `alpha * a b`, `(.., M, N)` for `(.., M, K)` and `(.., K, N)`, in the dtype of `a`; batches broadcast.
pub(crate) fn product(alpha: f64, a: &DeviceTensor, b: &DeviceTensor) -> Result<DeviceTensor> {
    product_with_room(alpha, a, b, None, Room::None)
}

/// `alpha * a b + beta * c`, in the dtype of `a`; `c` broadcasts to the product.
pub(crate) fn product_with_room(
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
    addend: Option<(f64, &DeviceTensor)>,
    room: Room,
) -> Result<DeviceTensor> {
    let c = addend.map(|(_, c)| c);
    if matches!((&addend, room), (None, Room::None))
        && let Some(y) = split::product(alpha, a, b)?
    {
        return Ok(y);
    }
    if same_dtype(a, [Some(b), c]) {
        let factors = [alpha, addend.map_or(0.0, |(beta, _)| beta)];
        let c = c.map(DeviceTensor::view);
        let (y, shape) = mps::gemm(a.view(), b.view(), c, factors, room)?;
        return Ok(DeviceTensor::packed(y, shape));
    }
    if let ([_, _], [_, _]) = (a.dims(), b.dims()) {
        if c.is_none()
            && let Some((y, shape)) = mps::widened(alpha, a.view(), b.view(), room)?
        {
            return Ok(DeviceTensor::packed(y, shape));
        }
        return mixed(alpha, a, b, addend, room);
    }
    let wide = |operand: &DeviceTensor| operand.in_dtype(DType::F32);
    let c = c.map(wide).transpose()?;
    let addend = addend.and_then(|(beta, _)| Some((beta, c.as_ref()?)));
    product_with_room(alpha, &wide(a)?, &wide(b)?, addend, room)?.in_dtype(a.dtype())
}

/// `y + alpha * a b` in the memory of `y`, a result that nothing else holds; in a longer copy of it
/// where the kernel reads past its end.
pub(crate) fn add_product(
    y: DeviceTensor,
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
) -> Result<DeviceTensor> {
    if !same_dtype(&y, [Some(a), Some(b)]) {
        return Factor::of(b)?.times(alpha, a, Onto::Result).run_in(y);
    }
    let shape = y.layout.shape().clone();
    let y = mps::gemm_onto(y.storage, a.view(), b.view(), [alpha, 1.0])?;
    Ok(DeviceTensor::packed(y, shape))
}

/// Whether MPS computes `a b`, as [`product`] is asked for it, by a measurement of just such products.
pub(crate) fn is_by_mps(a: &DeviceTensor, b: &DeviceTensor) -> Result<bool> {
    Ok(same_dtype(a, [Some(b), None]) && mps::is_by_mps(a.view(), b.view())?)
}

/// `a b` by MPS, with room for an addend; `None` where no measurement says that it is faster.
pub(crate) fn product_by_mps(a: &DeviceTensor, b: &DeviceTensor) -> Result<Option<DeviceTensor>> {
    if is_by_mps(a, b)? {
        return product_with_room(1.0, a, b, None, Room::ForAddend).map(Some);
    }
    let wide = mps::widened(1.0, a.view(), b.view(), Room::ForAddend)?;
    Ok(wide.map(|(y, shape)| DeviceTensor::packed(y, shape)))
}

/// `residual + x W^T`, by the kernels that unpack the matrix.
pub(crate) fn onto(
    x: &DeviceTensor,
    matrix: &DeviceMatrix,
    residual: &DeviceTensor,
) -> Result<DeviceTensor> {
    let product = MatrixProduct {
        alpha: 1.0,
        x,
        matrix,
        side: Side::Transposed,
        onto: Onto::Addend(1.0, residual),
    };
    product.run(Room::None)
}

fn same_dtype(a: &DeviceTensor, others: [Option<&DeviceTensor>; 2]) -> bool {
    let mut others = others.iter().flatten();
    others.all(|other| other.dtype() == a.dtype())
}

/// The product by our own kernels; all have two dimensions but the addend.
fn mixed(
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
    addend: Option<(f64, &DeviceTensor)>,
    room: Room,
) -> Result<DeviceTensor> {
    let dims = [a.dims()[0], b.dims()[1]];
    let addend = addend.map(|(beta, c)| Ok::<_, candle_core::Error>((beta, c.broadcast(&dims)?)));
    let addend = addend.transpose()?;
    let onto = match &addend {
        Some((beta, c)) => Onto::Addend(*beta, c),
        None => Onto::Nothing,
    };
    Factor::of(b)?.times(alpha, a, onto).run(room)
}

/// A right factor `(K, N)` the way round in which its rows lie in memory.
struct Factor {
    matrix: DeviceMatrix,
    side: Side,
}

impl Factor {
    fn of(b: &DeviceTensor) -> Result<Self> {
        let [_, column] = b.strides()?;
        let (matrix, side) = match column == 1 {
            true => (DeviceMatrix::dense(b.clone())?, Side::AsItIs),
            false => (DeviceMatrix::dense(b.transposed()?)?, Side::Transposed),
        };
        Ok(Self { matrix, side })
    }

    fn times<'a>(&'a self, alpha: f64, x: &'a DeviceTensor, onto: Onto<'a>) -> MatrixProduct<'a> {
        MatrixProduct {
            alpha,
            x,
            matrix: &self.matrix,
            side: self.side,
            onto,
        }
    }
}

impl DeviceTensor {
    fn view(&self) -> mps::Operand<'_> {
        (&self.storage, &self.layout)
    }
}
