use super::norm::RmsNorm;
use super::sinks::Sinks;
use crate::lora::{Embedding, Linear};
use candle_core::Tensor;
use metal_candle_kernels::Weight;

/// Part of a model that has weights of its own, and a path in the checkpoint.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Linear layer.
    Linear(&'a Linear),
    /// Embedding.
    Embedding(&'a Embedding),
    /// Norm.
    Norm(&'a RmsNorm),
    /// Sinks of attention.
    Sinks(&'a Sinks),
}

/// [`Part`], to be changed.
#[derive(Debug)]
pub enum PartMut<'a> {
    /// Linear layer.
    Linear(&'a mut Linear),
    /// Embedding.
    Embedding(&'a mut Embedding),
    /// Norm.
    Norm(&'a mut RmsNorm),
    /// Sinks of attention.
    Sinks(&'a mut Sinks),
}

impl<'a> Part<'a> {
    /// Path in a checkpoint, without `.weight`; of sinks, that of their layer.
    #[must_use]
    pub fn path(self) -> &'a str {
        match self {
            Self::Linear(linear) => linear.path(),
            Self::Embedding(embedding) => embedding.layer().path(),
            Self::Norm(norm) => norm.path(),
            Self::Sinks(sinks) => sinks.path(),
        }
    }

    /// The matrix, if there is one.
    #[must_use]
    pub fn matrix(self) -> Option<&'a Weight> {
        match self {
            Self::Linear(linear) => Some(linear.weight()),
            Self::Embedding(embedding) => Some(embedding.weight()),
            Self::Norm(_) | Self::Sinks(_) => None,
        }
    }

    /// Number of parameters; of a packed matrix, those that it was before.
    #[must_use]
    pub fn n_parameters(self) -> usize {
        match self.matrix() {
            Some(Weight::Packed(packed)) => {
                let (n, k) = packed.dims();
                n * k
            }
            _ => self.tensors().iter().map(|(_, t)| t.elem_count()).sum(),
        }
    }

    /// Every tensor with its name in a checkpoint, those of packed matrices too.
    #[must_use]
    pub fn tensors(self) -> Vec<(String, &'a Tensor)> {
        let tensors = match self {
            Self::Linear(linear) => linear.tensors().collect(),
            Self::Embedding(embedding) => embedding.weight().tensors(),
            Self::Norm(norm) => vec![("weight", norm.weight())],
            Self::Sinks(sinks) => vec![(Sinks::NAME, sinks.stored())],
        };
        let named = tensors.into_iter();
        let named = named.map(|(name, tensor)| (format!("{}.{name}", self.path()), tensor));
        named.collect()
    }
}

impl<'a> PartMut<'a> {
    /// The matrix with its path, if there is one, to be replaced.
    #[must_use]
    pub fn matrix(self) -> Option<(String, &'a mut Weight)> {
        match self {
            Self::Linear(linear) => Some((linear.path().into(), linear.weight_mut())),
            Self::Embedding(embedding) => {
                Some((embedding.layer().path().into(), embedding.weight_mut()))
            }
            Self::Norm(_) | Self::Sinks(_) => None,
        }
    }

    /// Replaces every dense tensor by what `change` makes of it and of its name in a checkpoint.
    ///
    /// # Errors
    /// Those of `change`, and those of candle.
    pub fn replace<E: From<candle_core::Error>>(
        self,
        change: &mut impl FnMut(&str, &Tensor) -> Result<Tensor, E>,
    ) -> Result<(), E> {
        match self {
            Self::Linear(linear) => {
                let path = linear.path().to_string();
                for (name, tensor) in linear.tensors_mut() {
                    *tensor = change(&format!("{path}.{name}"), tensor)?;
                }
            }
            Self::Embedding(embedding) => {
                let name = format!("{}.weight", embedding.layer().path());
                if let Some(tensor) = embedding.weight_mut().tensor_mut() {
                    *tensor = change(&name, tensor)?;
                }
            }
            Self::Norm(norm) => {
                let weight = change(&format!("{}.weight", norm.path()), norm.weight())?;
                norm.set_weight(weight)?;
            }
            Self::Sinks(sinks) => {
                let name = format!("{}.{}", sinks.path(), Sinks::NAME);
                let stored = change(&name, sinks.stored())?;
                sinks.set(stored)?;
            }
        }
        Ok(())
    }
}

/// Holder of parts, in the order of the data.
pub(in crate::models) trait Visit {
    /// Gives every part to `to`.
    fn visit<'a>(&'a self, to: &mut dyn FnMut(Part<'a>));

    /// Gives every part to `to`, to be changed.
    fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(PartMut<'a>));
}

/// [`Visit`] for a struct, of the fields that are parts or hold parts.
macro_rules! visit {
    ($name:ident: $($field:ident),+) => {
        impl $crate::models::layers::Visit for $name {
            fn visit<'a>(&'a self, to: &mut dyn FnMut($crate::models::Part<'a>)) {
                $(self.$field.visit(to);)+
            }

            fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut($crate::models::PartMut<'a>)) {
                $(self.$field.visit_mut(to);)+
            }
        }
    };
}
pub(in crate::models) use visit;

/// [`Visit`] for a kind of part.
macro_rules! leaf {
    ($kind:ident, $name:ident) => {
        impl Visit for $name {
            fn visit<'a>(&'a self, to: &mut dyn FnMut(Part<'a>)) {
                to(Part::$kind(self));
            }

            fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(PartMut<'a>)) {
                to(PartMut::$kind(self));
            }
        }
    };
}
leaf!(Linear, Linear);
leaf!(Embedding, Embedding);
leaf!(Norm, RmsNorm);
leaf!(Sinks, Sinks);

impl<T: Visit> Visit for Option<T> {
    fn visit<'a>(&'a self, to: &mut dyn FnMut(Part<'a>)) {
        self.iter().for_each(|part| part.visit(to));
    }

    fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(PartMut<'a>)) {
        self.iter_mut().for_each(|part| part.visit_mut(to));
    }
}

impl<T: Visit> Visit for Vec<T> {
    fn visit<'a>(&'a self, to: &mut dyn FnMut(Part<'a>)) {
        self.iter().for_each(|part| part.visit(to));
    }

    fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(PartMut<'a>)) {
        self.iter_mut().for_each(|part| part.visit_mut(to));
    }
}
