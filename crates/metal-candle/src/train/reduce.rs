use super::preference::{N_SUMS, PairSums};
use super::step::StepResult;
use super::{Error, Gradients, Parameters, Result};
use candle_core::{DType, Tensor};
use std::fmt::Debug;

/// Workers that train one model together, each on micro-batches of its own.
///
/// Worker `rank` of `n` takes the micro-batches `rank`, `rank + n`, ... of a step: a run by `n` workers
/// is that of one worker, sums being added in another order.
pub trait Reduce: Debug {
    /// Number of this worker, from 0 on.
    fn rank(&self) -> usize;

    /// Number of workers.
    fn n_workers(&self) -> usize;

    /// Sums of `values`, `(n)` float32, over all workers: the same bits for each of them.
    ///
    /// # Errors
    /// When a worker cannot be reached.
    fn all_reduce(&self, values: &Tensor) -> Result<Tensor>;
}

/// Most tokens of a step that a float32 counts.
const MOST_TOKENS: usize = 1 << 24;

impl StepResult {
    /// Sums over all workers, in one exchange: gradients in the parameters' order, loss, tokens.
    pub(super) fn reduced(&self, reduce: &dyn Reduce, parameters: &Parameters) -> Result<Self> {
        let flat = reduce.all_reduce(&self.flat(parameters)?)?;
        let mut next = 0;
        let mut take = |n: usize| {
            next += n;
            flat.narrow(0, next - n, n)
        };
        let gradients = parameters.as_slice().iter().map(|parameter| {
            let gradient = take(parameter.var.elem_count())?;
            Ok(Some(gradient.reshape(parameter.var.shape())?))
        });
        let gradients = Gradients::new(gradients.collect::<Result<_>>()?);
        let rest = take(2)?.to_vec1::<f32>()?;
        let pairs = take(N_SUMS)?.to_vec1::<f32>()?;
        let tokens = rest[1] as usize;
        match tokens < MOST_TOKENS {
            true => Ok(Self {
                loss_sum: f64::from(rest[0]),
                tokens,
                pairs: PairSums::from_array(std::array::from_fn(|i| f64::from(pairs[i]))),
                gradients,
            }),
            false => Err(Error::Setting {
                what: "tokens of a step over all workers",
                expected: "fewer than 16777216",
                got: tokens.to_string(),
            }),
        }
    }

    fn flat(&self, parameters: &Parameters) -> Result<Tensor> {
        let of_parameters = self.gradients.as_slice().iter().zip(parameters.as_slice());
        let mut parts = of_parameters
            .map(|(gradient, parameter)| match gradient {
                Some(gradient) => Ok(gradient.flatten_all()?),
                None => {
                    let n = parameter.var.elem_count();
                    Ok(Tensor::zeros(n, DType::F32, parameter.var.device())?)
                }
            })
            .collect::<Result<Vec<_>>>()?;
        if let Some(like) = parts.first() {
            let rest = [self.loss_sum, self.tokens as f64].into_iter();
            let rest = rest.chain(self.pairs.to_array()).map(|sum| sum as f32);
            parts.push(Tensor::new(rest.collect::<Vec<_>>(), like.device())?);
        }
        Ok(Tensor::cat(&parts, 0)?)
    }
}
