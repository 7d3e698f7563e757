//! Three products forward: `h`, the frozen branch with its bias, and the adapter's added to it in
//! place. The only temporary of forward is `h`, with `dropout(x)` where there is dropout, and what
//! of `x` and the adapter has to be in another dtype; the weight and the bias are read as they are.
//!
//! Where MPS has the frozen products, which it does not add to others in every dtype, those of the adapter are added to them: in
//! 16 bits the frozen branch is rounded before, as in PEFT.

use super::LoraLinear;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{DeviceTensor, Room, add_product, dropped, product, product_with_room};
use crate::ops::linear::result_shape;
use candle_core::{DType, Result as CandleResult, Tensor};

pub(super) struct Metal;

impl Function<LoraLinear, 3> for Metal {
    /// `h`, `(M, R)`.
    type Saved = DeviceTensor;

    fn forward(op: &LoraLinear, [x, a, b]: [&Tensor; 3]) -> Result<(Value, DeviceTensor)> {
        let dtype = op.dtype([x, a, b]);
        let rows = DeviceTensor::of(x)?.as_rows()?.in_dtype(dtype)?;
        let [a, b] = [
            DeviceTensor::of(a)?.in_dtype(dtype)?,
            DeviceTensor::of(b)?.in_dtype(dtype)?,
        ];
        let h = product(1.0, &op.dropped(&rows)?, &a.transposed()?)?;
        let y = op.frozen(x, &rows)?;
        let y = add_product(y, op.scale, &h, &b.transposed()?)?;
        let shape = result_shape(x.dims(), b.dims()[0]);
        Ok((y.in_dtype(x.dtype())?.into_value(shape), h))
    }

    fn backward(op: &LoraLinear, h: &DeviceTensor, trace: Trace<'_, 3>) -> Result<Gradients<3>> {
        let Trace { inputs, dy, .. } = trace;
        let [x, a, b] = inputs;
        let dtype = op.dtype([x, a, b]);
        let dy = DeviceTensor::of(dy)?.as_rows()?.in_dtype(dtype)?;
        let db = b
            .track_op()
            .then(|| product(op.scale, &dy.transposed()?, h)?.into_gradient(b));
        let [dx, da] = match x.track_op() || a.track_op() {
            true => through_h(op, inputs, &dy, dtype)?,
            false => [None, None],
        };
        Ok([dx, da, db.transpose()?])
    }
}

/// The gradients of `x` and `A`, from that of `h`, which is `scale * dy B`.
fn through_h(
    op: &LoraLinear,
    [x, a, b]: &[Tensor; 3],
    dy: &DeviceTensor,
    dtype: DType,
) -> Result<Gradients<2>> {
    let dh = product(op.scale, dy, &DeviceTensor::of(b)?.in_dtype(dtype)?)?;
    let da = a.track_op().then(|| {
        let input = op.dropped(&DeviceTensor::of(x)?.as_rows()?.in_dtype(dtype)?)?;
        product(1.0, &dh.transposed()?, &input)?.into_gradient(a)
    });
    let dx = x.track_op().then(|| {
        let a = DeviceTensor::of(a)?.in_dtype(dtype)?;
        if let Some(dx) = op.frozen_gradient_by_mps(x, dy)? {
            return add_product(dx, 1.0, &dh, &a)?.into_gradient(x);
        }
        let through_adapter = product_with_room(1.0, &dh, &a, None, Room::ForAddend)?;
        let dx = op.dropped(&through_adapter)?;
        op.weight.on_metal()?.add_gradient(dx, dy)?.into_gradient(x)
    });
    Ok([dx.transpose()?, da.transpose()?])
}

impl LoraLinear {
    /// Dtype of `x` and the adapter where it is one, or else float32.
    fn dtype(&self, [x, a, b]: [&Tensor; 3]) -> DType {
        match [a, b].iter().all(|other| other.dtype() == x.dtype()) {
            true => x.dtype(),
            false => DType::F32,
        }
    }

    /// `x W^T + bias` with room for an addend: in the dtype of `x` where MPS has it, or else in that of `rows`, which are `x` in the
    /// dtype of the adapter's products.
    fn frozen(&self, x: &Tensor, rows: &DeviceTensor) -> CandleResult<DeviceTensor> {
        let weight = self.weight.on_metal()?;
        if self.bias.is_none() && x.dtype() != rows.dtype() {
            let x = DeviceTensor::of(x)?.as_rows()?;
            if weight.is_by_mps(&x)? {
                return weight.linear(&x, None, Room::ForAddend);
            }
        }
        let bias = self.bias.as_ref().map(DeviceTensor::of).transpose()?;
        weight.linear(rows, bias.as_ref(), Room::ForAddend)
    }

    /// `dy W` by MPS, in the dtype of `x` or of `dy`; `None` where MPS has not been measured to be faster, and with dropout, whose
    /// gradient would be an addend.
    fn frozen_gradient_by_mps(
        &self,
        x: &Tensor,
        dy: &DeviceTensor,
    ) -> CandleResult<Option<DeviceTensor>> {
        if self.dropout.is_some() {
            return Ok(None);
        }
        self.weight
            .on_metal()?
            .gradient_by_mps(&dy.in_dtype(x.dtype())?)
    }

    fn dropped(&self, x: &DeviceTensor) -> CandleResult<DeviceTensor> {
        match self.dropout {
            None => Ok(x.clone()),
            Some(dropout) => x.map(|storage, layout| dropped(dropout, storage, layout)),
        }
    }
}
