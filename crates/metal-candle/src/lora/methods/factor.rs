use super::Tied;
use crate::lora::{Error, Mode, Placement};
use candle_core::{Tensor, Var};
use metal_candle_kernels::Result;

/// A trained matrix of an adapter: its own, or that of the embedding's adapter, which lies across.
#[derive(Clone, Debug)]
pub(super) enum Factor {
    Own(Var),
    Across(Var),
    /// Values that are no parameter: those of an adapter that is trained no more, or computed from others.
    Fixed(Tensor),
}

impl Factor {
    /// The parameter `name` of the adapter that acts on another layer too.
    pub(super) fn across(
        place: &Placement,
        other: &Tied<'_>,
        name: &str,
    ) -> std::result::Result<Option<Self>, Error> {
        let Some(other) = other else {
            return Ok(None);
        };
        let parameters = other.parameters();
        let (_, var) = parameters
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| Error::NoLayer {
                path: place.path.clone(),
            })?;
        Ok(Some(Self::Across(var.clone())))
    }

    /// Its values: tracked where the pass is part of training.
    pub(super) fn seen(&self, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Own(var) => Ok(mode.seen(var)),
            Self::Across(var) => Ok(mode.seen(var).t()?.contiguous()?),
            Self::Fixed(values) => Ok(values.clone()),
        }
    }

    /// Its values, without a graph.
    pub(super) fn detach(&self) -> Result<Tensor> {
        self.seen(Mode::INFERENCE)
    }

    /// The matrix of an adapter that is trained no more.
    pub(super) fn frozen(&self) -> Result<Self> {
        match self {
            Self::Across(_) => Ok(Self::Fixed(self.detach()?)),
            Self::Own(_) | Self::Fixed(_) => Ok(self.clone()),
        }
    }

    /// The parameter, where it is the layer's own.
    pub(super) fn own(&self) -> Option<&Var> {
        match self {
            Self::Own(var) => Some(var),
            Self::Across(_) | Self::Fixed(_) => None,
        }
    }
}
