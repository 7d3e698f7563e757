use super::{Error, Parameters, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use metal_candle_kernels::tape;

/// One gradient for each parameter that was reached, summed over segments and micro-batches.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
    /// One gradient for each parameter, in their order; `None` where there is none.
    #[must_use]
    pub fn new(gradients: Vec<Option<Tensor>>) -> Self {
        Self(gradients)
    }

    /// No gradient yet.
    #[must_use]
    pub fn none(parameters: &Parameters) -> Self {
        Self(vec![None; parameters.as_slice().len()])
    }

    /// Takes the parameters' gradients out of `store` and adds them.
    pub(super) fn collect(&mut self, parameters: &Parameters, store: &mut GradStore) -> Result<()> {
        for (sum, parameter) in self.0.iter_mut().zip(parameters.as_slice()) {
            if let Some(gradient) = store.remove(&parameter.var) {
                add(sum, gradient)?;
            }
        }
        Ok(())
    }

    /// Adds the gradients of another micro-batch.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (sum, gradient) in self.0.iter_mut().zip(other.0) {
            if let Some(gradient) = gradient {
                add(sum, gradient)?;
            }
        }
        Ok(())
    }

    /// The gradients times `factor`.
    pub(super) fn scaled(self, factor: f64) -> Result<Self> {
        if factor == 1.0 {
            return Ok(self);
        }
        let gradients = self.0.into_iter();
        let scaled = gradients.map(|g| g.map(|g| g.affine(factor, 0.0)).transpose());
        Ok(Self(scaled.collect::<candle_core::Result<_>>()?))
    }

    /// The gradients in the parameters' order.
    #[must_use]
    pub fn as_slice(&self) -> &[Option<Tensor>] {
        &self.0
    }

    /// Every parameter must be reached: one that is not would silently stay as it is.
    pub(super) fn audit(&self, parameters: &Parameters) -> Result<()> {
        let unreached = self.0.iter().zip(parameters.as_slice());
        let names: Vec<String> = unreached
            .filter(|(gradient, _)| gradient.is_none())
            .map(|(_, parameter)| parameter.name.clone())
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(Error::NoGradient { names }),
        }
    }

    /// Norm of each gradient, in the parameters' order; read back at once.
    pub(super) fn norms(&self) -> Result<Vec<f64>> {
        let there = self.0.iter().flatten();
        let squares = there.map(|gradient| gradient.sqr()?.sum_all());
        let squares = squares.collect::<candle_core::Result<Vec<_>>>()?;
        let squares = match squares.is_empty() {
            true => vec![],
            false => Tensor::stack(&squares, 0)?.to_vec1::<f32>()?,
        };
        let mut norms = squares.into_iter().map(|square| f64::from(square).sqrt());
        let of = |gradient: &Option<Tensor>| gradient.as_ref().and_then(|_| norms.next());
        Ok(self
            .0
            .iter()
            .map(of)
            .map(Option::unwrap_or_default)
            .collect())
    }
}

fn add(sum: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        Some(sum) => tape::add(&sum, &gradient)?,
        None => gradient,
    });
    Ok(())
}
