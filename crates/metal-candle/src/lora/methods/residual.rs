use super::lora::{A, B, Lora};
use super::{Adapter, Take};
use crate::device::snapshot;
use crate::lora::{Error, Linear, Mode, Placement};
use candle_core::{Tensor, Var};
use metal_candle_kernels::{MatMulOptions, Result, linear, matmul_with, tape};
use std::sync::Arc;

/// `x W^T + bias + scale * (dropout(x) A^T B^T - x A0^T B0^T)`: LoRA whose factors began as a part of the weight, with
/// that part taken away. PEFT takes it from the weight itself; so the weight may be packed, and is that of the model.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    trained: Lora,
    /// `A` as it began, `(R, K)`.
    a: Tensor,
    /// `B` as it began, `(N, R)`.
    b: Tensor,
}

impl Residual {
    /// Factors that are a part of the weight.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        let [a, b] = initial(place, layer, seed, false)?;
        Self::new(place, [a.clone(), b.clone()], &mut |name| {
            Ok(Var::from_tensor(if name == A { &a } else { &b })?)
        })
    }

    /// Factors that `take` gives of an adapter of PEFT, which trained them beside a changed weight.
    pub(super) fn with(
        place: &Placement,
        layer: &Linear,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Self::new(place, initial(place, layer, 0, true)?, take)
    }

    /// Factors from `plain` ones, as files hold them: those that are trained before those that were there first.
    pub(super) fn of_plain(
        place: &Placement,
        plain: &dyn Adapter,
    ) -> std::result::Result<Self, Error> {
        let parameters = plain.parameters();
        let half = |name: &str, dim: usize, start: usize| -> std::result::Result<Tensor, Error> {
            let of_name = parameters.iter().find(|(known, _)| *known == name);
            let path = place.path.clone();
            let (_, var) = of_name.ok_or(Error::NoLayer { path })?;
            Ok(snapshot(&var.narrow(dim, start, place.r)?)?)
        };
        let first = [half(A, 0, place.r)?, half(B, 1, place.r)?.neg()?];
        Self::new(place, first, &mut |name| {
            let dim = usize::from(name == B);
            Ok(Var::from_tensor(&half(name, dim, 0)?)?)
        })
    }

    fn new(
        place: &Placement,
        [a, b]: [Tensor; 2],
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        let trained = Lora::with(place, None, take)?;
        Ok(Self { trained, a, b })
    }

    /// `y - scale * x A0^T B0^T`.
    fn without_first(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.a.clone().into(), self.b.clone().into());
        let first = linear(&linear(x, &a, None)?, &b, None)?;
        tape::add(y, &tape::scale(&first, -self.trained.scale)?)
    }

    /// Both factors of the plain adapter that it is, `(2 R, K)` and `(N, 2 R)`.
    fn plain(&self) -> Result<[Tensor; 2]> {
        let (a, b) = (self.trained.a.detach()?, self.trained.b.detach()?);
        Ok([
            Tensor::cat(&[&a, &self.a], 0)?,
            Tensor::cat(&[&b, &self.b.neg()?], 1)?,
        ])
    }
}

impl Adapter for Residual {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.without_first(x, &self.trained.forward(x, layer, mode)?)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, _: &Linear) -> Result<Tensor> {
        self.without_first(x, &self.trained.added(x, product)?)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let options = MatMulOptions {
            alpha: -self.trained.scale,
            ..MatMulOptions::default()
        };
        let first = matmul_with(&self.b, &self.a, None, options)?;
        // What both have in common goes before it is added to the weight.
        let update = (self.trained.delta()? + first)?;
        Ok((weight.to_dtype(update.dtype())? + update)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        self.trained.parameters()
    }

    fn stored(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let [a, b] = self.plain()?;
        Ok(vec![(A, a), (B, b)])
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        let [a, b] = self.plain()?;
        Ok(Arc::new(Lora::of(a, b, self.trained.scale)))
    }
}

/// The part of the weight that factors begin as. `must_be_exact` where others trained against it.
fn initial(
    place: &Placement,
    layer: &Linear,
    seed: u64,
    must_be_exact: bool,
) -> std::result::Result<[Tensor; 2], Error> {
    let narrow = place.in_features.min(place.out_features);
    if place.r > narrow {
        return Err(Error::Setting {
            what: "rank",
            expected: "at most the width of every layer, of whose weight the factors begin as a part",
            got: format!("{}, and {} has {narrow}", place.r, place.path),
        });
    }
    let is_packed = layer.weight().tensor().is_none();
    let factors = place
        .init
        .factors(layer.weight(), place, seed, must_be_exact)?;
    match factors {
        Some(factors) if !must_be_exact || (factors.is_exact() && !is_packed) => {
            Ok(factors.on(layer.device())?)
        }
        _ => Err(Error::Beginning {
            path: place.path.clone(),
            init: place.init.name(),
        }),
    }
}
