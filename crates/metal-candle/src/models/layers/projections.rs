use super::Visit;
use super::part::{Part, PartMut};
use crate::lora::{Context, Linear, PlainLayer};
use crate::models::Result;
use crate::models::scope::Scope;
use candle_core::Tensor;
use metal_candle_kernels::linears;
use metal_candle_kernels::tape::narrow;

/// Names and widths of projections, and the name of one layer that holds all of them.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct Names<const N: usize> {
    pub(in crate::models) each: [&'static str; N],
    pub(in crate::models) all: &'static str,
}

/// `N` projections of one input: a linear layer for each, or one for all, whose output is cut.
#[derive(Debug)]
pub(in crate::models) struct Projections<const N: usize> {
    layers: Vec<Linear>,
    widths: [usize; N],
}

impl<const N: usize> Projections<N> {
    /// Takes the layers from below `at`: `d` -> `widths`.
    pub(in crate::models) fn load(
        at: &Scope<'_>,
        names: Names<N>,
        (d, widths): (usize, [usize; N]),
        (fused, bias): (bool, bool),
    ) -> Result<Self> {
        let layers = match fused {
            true => vec![at.linear(names.all, (widths.iter().sum(), d), bias)?],
            false => {
                let each = names.each.into_iter().zip(widths);
                let layers = each.map(|(name, width)| at.linear(name, (width, d), bias));
                layers.collect::<Result<_>>()?
            }
        };
        Ok(Self { layers, widths })
    }

    /// `(B, T, D)` -> `(B, T, width)` of each.
    pub(in crate::models) fn forward(&self, x: &Tensor, context: &Context) -> Result<[Tensor; N]> {
        match &self.layers[..] {
            [all] => self.cut(&all.forward(x, context)?),
            each => match self.plain(context)? {
                Some(layers) => Ok(linears(x, layers.each_ref().map(PlainLayer::as_layer))?),
                None => array(|i| Ok(each[i].forward(x, context)?)),
            },
        }
    }

    /// A layer for each, where one operation can compute them.
    pub(in crate::models) fn plain(
        &self,
        context: &Context,
    ) -> Result<Option<[PlainLayer<'_>; N]>> {
        let layers = self.layers.iter().map(|layer| layer.plain(context));
        let layers: Vec<Option<_>> = layers.collect::<metal_candle_kernels::Result<_>>()?;
        let layers: Option<Vec<_>> = layers.into_iter().collect();
        Ok(layers.and_then(|layers| layers.try_into().ok()))
    }

    fn cut(&self, all: &Tensor) -> Result<[Tensor; N]> {
        let mut end = 0;
        array(|i| {
            end += self.widths[i];
            Ok(narrow(all, 2, end - self.widths[i], self.widths[i])?)
        })
    }
}

fn array<const N: usize>(item: impl FnMut(usize) -> Result<Tensor>) -> Result<[Tensor; N]> {
    let items = (0..N).map(item).collect::<Result<Vec<_>>>()?;
    match items.try_into() {
        Ok(items) => Ok(items),
        Err(_) => unreachable!("there are N"),
    }
}

impl<const N: usize> Visit for Projections<N> {
    fn visit<'a>(&'a self, to: &mut dyn FnMut(Part<'a>)) {
        self.layers.visit(to);
    }

    fn visit_mut<'a>(&'a mut self, to: &mut dyn FnMut(PartMut<'a>)) {
        self.layers.visit_mut(to);
    }
}
