use super::{Adapter, Shapes, Take, Tied};
use crate::device::snapshot;
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
    /// Whether it is that of the embedding.
    is_tied: bool,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    if place.tied_to.is_some() {
        return vec![];
    }
    let (inputs, outputs) = (place.in_features, place.out_features);
    let shape = match place.kind {
        Kind::Linear => vec![outputs, inputs],
        Kind::Embedding => vec![inputs, outputs],
    };
    vec![(WEIGHT, shape)]
}

impl Whole {
    /// The layer's own weight, to begin with.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
    ) -> std::result::Result<Self, Error> {
        Self::with(place, other, &mut |_| {
            let weight = layer.weight().dense()?.to_dtype(DType::F32)?;
            Ok(Var::from_tensor(&snapshot(&weight)?)?)
        })
    }

    pub(super) fn with(
        place: &Placement,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        let tied = other.and_then(|other| {
            let mut parameters = other.parameters().into_iter();
            parameters.find(|(name, _)| *name == WEIGHT)
        });
        Ok(Self {
            weight: match tied {
                Some((_, weight)) => weight.clone(),
                None => take(WEIGHT)?,
            },
            kind: place.kind,
            is_tied: tied.is_some(),
        })
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
        match self.is_tied {
            true => vec![],
            false => vec![(WEIGHT, &self.weight)],
        }
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.clone()))
    }
}
