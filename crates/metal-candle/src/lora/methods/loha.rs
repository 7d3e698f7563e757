use super::lora::Lora;
use super::parts::{Dim, Part};
use super::{Adapter, Take};
use crate::lora::{Error, Linear, Mode, Placement};
use crate::random::uniform;
use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::{Result, tape};
use std::sync::Arc;

const W1_A: &str = "hada_w1_a";
const W1_B: &str = "hada_w1_b";
const W2_A: &str = "hada_w2_a";
const W2_B: &str = "hada_w2_b";

#[rustfmt::skip]
pub(super) const PARTS: [Part; 4] = [
    Part { name: W1_A, dims: &[Dim::Out, Dim::Rank] },
    Part { name: W1_B, dims: &[Dim::Rank, Dim::In] },
    Part { name: W2_A, dims: &[Dim::Out, Dim::Rank] },
    Part { name: W2_B, dims: &[Dim::Rank, Dim::In] },
];

/// `x W^T + bias + scale * x (W1a W1b * W2a W2b)^T`, the product of two updates of rank `R`, element by element.
///
/// It is an update of rank `R * R`, of factors whose columns and rows are the products of all pairs of theirs: so nothing of
/// the size of the weight is computed.
#[derive(Clone, Debug)]
pub(super) struct Loha {
    /// Two pairs of factors, `(N, R)` and `(R, K)`.
    pairs: [[Var; 2]; 2],
    /// Factor of the update.
    scale: f64,
}

impl Loha {
    /// Uniform in `±1/sqrt(n)` with `n` the width of a tensor's rows, as PEFT begins, and the last one zero.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        let device = layer.device();
        Self::with(place, &mut |name| {
            let part = PARTS.iter().find(|part| part.name == name);
            let shape = part.map_or(vec![], |part| part.shape(place));
            if name == W2_B {
                return Ok(Var::zeros(shape, DType::F32, device)?);
            }
            let width = shape.last().copied().unwrap_or(1);
            let (n, stream) = (shape.iter().product(), format!("{}.{name}", place.path));
            let values = uniform(seed, &stream, n, 1.0 / (width as f64).sqrt());
            Ok(Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?)
        })
    }

    pub(super) fn with(place: &Placement, take: Take<'_>) -> std::result::Result<Self, Error> {
        let pairs = [[take(W1_A)?, take(W1_B)?], [take(W2_A)?, take(W2_B)?]];
        let scale = place.scale;
        Ok(Self { pairs, scale })
    }

    /// LoRA of rank `R * R`.
    fn as_lora(&self, mode: Mode) -> Result<Lora> {
        let [[w1_a, w1_b], [w2_a, w2_b]] = &self.pairs;
        let ((n, r), k) = (w1_a.dims2()?, w1_b.dim(1)?);
        let view = |var: &Var, dims: (usize, usize, usize)| tape::reshape(&mode.seen(var), dims);
        let a = tape::mul(&view(w1_b, (r, 1, k))?, &view(w2_b, (1, r, k))?)?;
        let b = tape::mul(&view(w1_a, (n, r, 1))?, &view(w2_a, (n, 1, r))?)?;
        let (a, b) = (
            tape::reshape(&a, (r * r, k))?,
            tape::reshape(&b, (n, r * r))?,
        );
        Ok(Lora::of(a, b, self.scale))
    }
}

impl Adapter for Loha {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        let lora = self.as_lora(mode)?;
        lora.beside(x, layer, layer.bias(), mode, None)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, _: &Linear) -> Result<Tensor> {
        self.as_lora(Mode::INFERENCE)?.added(x, product)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        self.as_lora(Mode::INFERENCE)?.merged(weight)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        let vars = self.pairs.iter().flatten();
        PARTS.iter().map(|part| part.name).zip(vars).collect()
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.as_lora(Mode::INFERENCE)?))
    }
}
