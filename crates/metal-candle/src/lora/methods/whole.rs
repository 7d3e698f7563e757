use super::{Adapter, Shapes, Take};
use crate::lora::{Error, Kind, Linear, Mode, Placement};
use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::{Result, Weight, linear};
use std::sync::Arc;

const WEIGHT: &str = "weight";

/// Another weight in place of the layer's (PEFT's `modules_to_save`).
#[derive(Clone, Debug)]
pub(super) struct Whole {
    weight: Var,
    kind: Kind,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    let (inputs, outputs) = (place.in_features, place.out_features);
    let shape = match place.kind {
        Kind::Linear => vec![outputs, inputs],
        Kind::Embedding => vec![inputs, outputs],
    };
    vec![(WEIGHT, shape)]
}

impl Whole {
    /// The layer's own weight, to begin with.
    pub(super) fn fresh(place: &Placement, layer: &Linear) -> std::result::Result<Self, Error> {
        let weight = layer.weight().dense()?.to_dtype(DType::F32)?;
        let (weight, kind) = (Var::from_tensor(&weight.copy()?)?, place.kind);
        Ok(Self { weight, kind })
    }

    pub(super) fn with(place: &Placement, take: Take<'_>) -> std::result::Result<Self, Error> {
        let (weight, kind) = (take(WEIGHT)?, place.kind);
        Ok(Self { weight, kind })
    }

    fn product(&self, x: &Tensor, bias: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let weight = Weight::Dense(mode.seen(&self.weight));
        match self.kind {
            Kind::Linear => linear(x, &weight, bias),
            Kind::Embedding => weight.gather(x),
        }
    }
}

impl Adapter for Whole {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.product(x, layer.bias(), mode)
    }

    fn adapt(&self, x: &Tensor, _: &Tensor, _: &Linear) -> Result<Tensor> {
        self.product(x, None, Mode::INFERENCE)
    }

    fn merged(&self, _: &Tensor) -> Result<Tensor> {
        Ok(self.weight.as_detached_tensor())
    }

    fn weight(&self, mode: Mode) -> Option<Tensor> {
        Some(mode.seen(&self.weight))
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        vec![(WEIGHT, &self.weight)]
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.clone()))
    }
}
