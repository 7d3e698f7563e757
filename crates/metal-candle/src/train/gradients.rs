use super::{Error, Parameters, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use metal_candle_kernels::tape;

/// One gradient for each parameter that was reached, summed over segments and micro-batches.
#[derive(Clone, Debug)]
pub struct Gradients(Vec<Option<Tensor>>);

impl Gradients {
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

    /// The norm of each gradient, in the parameters' order.
    pub(super) fn norms(&self) -> Result<Vec<f64>> {
        let norms = self.0.iter().map(|gradient| match gradient {
            Some(gradient) => Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?).sqrt()),
            None => Ok(0.0),
        });
        norms.collect()
    }
}

fn add(sum: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    *sum = Some(match sum.take() {
        Some(sum) => tape::add(&sum, &gradient)?,
        None => gradient,
    });
    Ok(())
}
