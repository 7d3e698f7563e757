//! The gate of gpt-oss (<https://arxiv.org/abs/2508.10925>): `y = g * sigmoid(alpha * g) * (u + 1)`, with
//! `g = min(gate, limit)` and `u = up` between `-limit` and `limit`.
//!
//! Both inputs have the same shape; float32 inside, result in their dtype. Backward: with `s = sigmoid(alpha * g)`,
//! `dup = dy * g * s` and `dgate = dy * (u + 1) * s * (1 + alpha * g * (1 - s))`, each zero where its input is bounded. It is
//! made of candle's operations on every device.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;

use crate::graph::{Function, Gradients, Kernel, Operation, Trace, Value};
use crate::ops::wide;
use crate::{Error, Result};
use candle_core::{Result as CandleResult, Tensor};

/// Numbers of the gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    /// Factor inside of the sigmoid.
    pub alpha: f64,
    /// Bound of the inputs.
    pub limit: f64,
}

/// `g * sigmoid(alpha * g) * (u + 1)` of bounded inputs.
///
/// # Errors
/// When the shapes differ.
pub fn clamped_glu(gate: &Tensor, up: &Tensor, clamp: Clamp) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        let expected = format!("{:?}", gate.dims());
        return Err(Error::shape("clamped_glu", "up", expected, up));
    }
    let [y] = Reference::run(clamp, [gate, up])?;
    Ok(y)
}

impl Operation for Clamp {
    fn name(&self) -> &'static str {
        "clamped_glu"
    }
}

impl Clamp {
    /// The bounded inputs, and the sigmoid, in float32.
    fn inside(&self, gate: &Tensor, up: &Tensor) -> CandleResult<[Tensor; 3]> {
        let g = wide(gate)?.minimum(self.limit)?;
        let u = wide(up)?.clamp(-self.limit, self.limit)?;
        let s = (g.affine(-self.alpha, 0.0)?.exp()? + 1.0)?.recip()?;
        Ok([g, u, s])
    }
}

struct Reference;

impl Function<Clamp, 2> for Reference {
    type Saved = ();

    fn forward(op: &Clamp, [gate, up]: [&Tensor; 2]) -> Result<(Value, ())> {
        let [g, u, s] = op.inside(&gate.detach(), &up.detach())?;
        let y = ((g * s)? * (u + 1.0)?)?.to_dtype(gate.dtype())?;
        Ok((Value::copied(&y.contiguous()?)?, ()))
    }

    fn backward(op: &Clamp, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let [gate, up] = trace.inputs.each_ref().map(Tensor::detach);
        let [g, u, s] = op.inside(&gate, &up)?;
        let dy = wide(trace.dy)?;
        let dup = ((&dy * &g)? * &s)?;
        // 1 + alpha g (1 - s)
        let slope = ((g * op.alpha)? * s.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)?;
        let dgate = ((dy * (u + 1.0)?)? * (s * slope)?)?;
        let within =
            |x: Tensor, dx: Tensor| -> CandleResult<Tensor> { (dx * x)?.to_dtype(gate.dtype()) };
        let below = |x: &Tensor| wide(x)?.le(op.limit)?.to_dtype(dup.dtype());
        let above = wide(&up)?.ge(-op.limit)?.to_dtype(dup.dtype())?;
        let (of_gate, of_up) = (below(&gate)?, (below(&up)? * above)?);
        Ok([
            Some(within(of_gate, dgate)?),
            Some(within(of_up, dup.clone())?),
        ])
    }
}
