//! Three products forward: `h`, the frozen branch with its bias, and the adapter's added to it in
//! place. The only temporary of forward is `h`, with `dropout(x)` where there is dropout, and what
//! has to be in another dtype.

use super::node::{Frozen, Gradients};
use crate::metal::{Operand, add_product, dropped, product, product_to_add_to};
use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalStorage, Result, Storage, Tensor};

/// The result, and `h`, for `x`, `A` and `B`.
pub(super) fn forward(
    frozen: &Frozen,
    [x, a, b]: [(&MetalStorage, &Layout); 3],
) -> Result<(MetalStorage, MetalStorage)> {
    let dtype = frozen.dtype(x.0.dtype(), [a.0.dtype(), b.0.dtype()]);
    let [x, a, b] = [x, a, b].map(|(storage, layout)| Operand::new(storage, layout));
    let result_dtype = x.dtype();
    let x = x.as_rows()?.in_dtype(dtype)?;
    let weight = frozen.weight()?.in_dtype(dtype)?.transposed()?;
    let h = product(1.0, &frozen.dropped(&x)?, &a.in_dtype(dtype)?.transposed()?)?;
    let bias = frozen.bias.as_ref().map(Operand::of).transpose()?;
    let bias = bias.map(|bias| bias.in_dtype(dtype)).transpose()?;
    let y = product_to_add_to(&x, &weight, bias.as_ref())?;
    let b = b.in_dtype(dtype)?.transposed()?;
    let y = add_product(y, frozen.scale, &h, &b)?;
    Ok((y.in_dtype(result_dtype)?.into_storage(), h.into_storage()))
}

pub(super) fn backward(
    frozen: &Frozen,
    h: &Storage,
    [x, a, b]: [&Tensor; 3],
    dy: &Tensor,
) -> Result<Gradients> {
    let dtype = frozen.dtype(x.dtype(), [a.dtype(), b.dtype()]);
    let dy = Operand::of(dy)?.as_rows()?.in_dtype(dtype)?;
    let db = b.track_op().then(|| {
        let h = Operand::stored(h, (dy.dims()[0], b.dims()[1]))?;
        product(frozen.scale, &dy.transposed()?, &h)?.into_gradient(b)
    });
    let (dx, da) = match x.track_op() || a.track_op() {
        true => through_h(frozen, [x, a, b], &dy, dtype)?,
        false => (None, None),
    };
    Ok((dx, da, db.transpose()?))
}

/// The gradients of `x` and `A`, from that of `h`, which is `scale * dy B`.
fn through_h(
    frozen: &Frozen,
    [x, a, b]: [&Tensor; 3],
    dy: &Operand,
    dtype: DType,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let dh = product(frozen.scale, dy, &Operand::of(b)?.in_dtype(dtype)?)?;
    let da = a.track_op().then(|| {
        let input = frozen.dropped(&Operand::of(x)?.as_rows()?.in_dtype(dtype)?)?;
        product(1.0, &dh.transposed()?, &input)?.into_gradient(a)
    });
    let dx = x.track_op().then(|| {
        let a = Operand::of(a)?.in_dtype(dtype)?;
        let weight = frozen.weight()?.in_dtype(dtype)?;
        let through_adapter = product_to_add_to(&dh, &a, None)?;
        let dx = frozen.dropped(&through_adapter)?;
        add_product(dx, 1.0, dy, &weight)?.into_gradient(x)
    });
    Ok((dx.transpose()?, da.transpose()?))
}

impl Frozen {
    /// That of everything where it is one, or else float32.
    fn dtype(&self, x: DType, adapter: [DType; 2]) -> DType {
        let bias = self.bias.iter().map(Tensor::dtype);
        let weight = self.weight.tensor().map(Tensor::dtype);
        let mut others = adapter.into_iter().chain(weight).chain(bias);
        match others.all(|dtype| dtype == x) {
            true => x,
            false => DType::F32,
        }
    }

    /// A packed weight has no kernel here, and does not come.
    fn weight(&self) -> Result<Operand> {
        match self.weight.tensor() {
            Some(tensor) => Operand::of(tensor),
            None => candle_core::bail!("lora_linear: a packed weight has no Metal kernel"),
        }
    }

    fn dropped(&self, x: &Operand) -> Result<Operand> {
        match self.dropout {
            None => Ok(x.clone()),
            Some(dropout) => x.map(|storage, layout| dropped(dropout, storage, layout)),
        }
    }
}
