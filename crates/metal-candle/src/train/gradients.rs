use super::network::Network;
use super::{Error, Parameters, Result};
use candle_core::Tensor;
use candle_core::backprop::GradStore;
use metal_candle_kernels::{sum_and_squares, sums_of_squares, tape};

/// One gradient for each parameter that was reached, summed over segments and micro-batches.
#[derive(Clone, Debug)]
pub struct Gradients {
    all: Vec<Option<Tensor>>,
    /// Sums of the squares of those that are there, where they were read with a loss.
    squares: Option<Vec<f64>>,
}

impl Gradients {
    /// One gradient for each parameter, in their order; `None` where there is none.
    #[must_use]
    pub fn new(gradients: Vec<Option<Tensor>>) -> Self {
        Self {
            all: gradients,
            squares: None,
        }
    }

    /// No gradient yet.
    #[must_use]
    pub fn none(parameters: &Parameters) -> Self {
        Self::new(vec![None; parameters.as_slice().len()])
    }

    /// Takes the parameters' gradients out of `store` and adds them.
    pub(super) fn collect(&mut self, parameters: &Parameters, store: &mut GradStore) -> Result<()> {
        self.squares = None;
        for (sum, parameter) in self.all.iter_mut().zip(parameters.as_slice()) {
            if let Some(gradient) = store.remove(&parameter.var) {
                add(sum, gradient)?;
            }
        }
        Ok(())
    }

    /// Zeros for the layers that no token came to and that may have none.
    pub(super) fn rest(&mut self, network: &impl Network, parameters: &Parameters) -> Result<()> {
        for (sum, parameter) in self.all.iter_mut().zip(parameters.as_slice()) {
            if sum.is_none() && network.may_rest(&parameter.name) {
                *sum = Some(parameter.var.as_tensor().zeros_like()?);
            }
        }
        Ok(())
    }

    /// Adds the gradients of another micro-batch.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn add(&mut self, other: Self) -> Result<()> {
        if self.all.iter().all(Option::is_none) {
            *self = other;
            return Ok(());
        }
        self.squares = None;
        for (sum, gradient) in self.all.iter_mut().zip(other.all) {
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
        let gradients = self.all.into_iter();
        let scaled = gradients.map(|g| g.map(|g| g.affine(factor, 0.0)).transpose());
        Ok(Self::new(scaled.collect::<candle_core::Result<_>>()?))
    }

    /// The gradients in the parameters' order.
    #[must_use]
    pub fn as_slice(&self) -> &[Option<Tensor>] {
        &self.all
    }

    /// Every parameter must be reached: one that is not would silently stay as it is.
    pub(super) fn audit(&self, parameters: &Parameters) -> Result<()> {
        let unreached = self.all.iter().zip(parameters.as_slice());
        let names: Vec<String> = unreached
            .filter(|(gradient, _)| gradient.is_none())
            .map(|(_, parameter)| parameter.name.clone())
            .collect();
        match names.is_empty() {
            true => Ok(()),
            false => Err(Error::NoGradient { names }),
        }
    }

    /// Value of a loss. From a GPU the squares of all gradients are read with it: [`Self::norms`] need not wait then.
    pub(super) fn read_with(&mut self, loss: &Tensor) -> candle_core::Result<f64> {
        if !loss.device().is_metal() {
            return Ok(f64::from(loss.to_scalar::<f32>()?));
        }
        let (loss, squares) = sum_and_squares(loss, &self.there())?;
        self.squares = Some(squares);
        Ok(loss)
    }

    fn there(&self) -> Vec<&Tensor> {
        self.all.iter().flatten().collect()
    }

    /// Norm of each gradient, in the parameters' order; read back at once.
    pub(super) fn norms(&self) -> Result<Vec<f64>> {
        let squares = match &self.squares {
            Some(squares) => squares.clone(),
            None => sums_of_squares(&self.there())?,
        };
        let mut norms = squares.into_iter().map(f64::sqrt);
        let of = |gradient: &Option<Tensor>| gradient.as_ref().and_then(|_| norms.next());
        Ok(self
            .all
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
