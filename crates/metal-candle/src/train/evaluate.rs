use super::head::Head;
use super::preference::{PairMetrics, PairSums};
use super::{Error, Network, Result};
use crate::data::Batch;
use crate::device::{read_back, round};
use crate::lora::{AdapterSet, Context};
use candle_core::Tensor;
use std::sync::Arc;

/// The loss of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Sum of the negative log-likelihoods, in nats, or of the losses of pairs.
    pub loss_sum: f64,
    /// Number of tokens that have a loss.
    pub tokens: usize,
    /// Sum of the squares of what `loss_sum` sums.
    square_sum: f64,
    /// Sums over pairs, where rows are pairs.
    pub(super) pairs: PairSums,
}

impl Evaluation {
    /// Sum of the negative log-likelihoods of so many tokens.
    #[must_use]
    pub fn of_tokens(loss_sum: f64, tokens: usize) -> Self {
        Self {
            loss_sum,
            tokens,
            ..Self::default()
        }
    }

    /// Nats per token, or the loss per pair.
    #[must_use]
    pub fn loss(&self) -> f64 {
        match self.pairs.count() {
            0 => self.loss_sum / self.tokens as f64,
            n => self.loss_sum / n as f64,
        }
    }

    /// Means over pairs; `None` where rows are no pairs.
    #[must_use]
    pub fn preference(&self) -> Option<PairMetrics> {
        self.pairs.means()
    }

    /// `exp(loss)`.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// Standard error of the loss of tokens, in nats: the root of their losses' variance over `n`, which is an unbiased estimate
    /// (`n - 1`), as if they did not depend on each other. `None` of pairs, and of fewer than two tokens.
    #[must_use]
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.tokens as f64;
        let is_known = self.tokens > 1 && self.pairs.count() == 0;
        let variance = (self.square_sum - self.loss_sum * self.loss_sum / n) / (n - 1.0);
        is_known.then(|| (variance.max(0.0) / n).sqrt())
    }

    /// Takes the losses of places, zero where there is no target.
    fn add(&mut self, losses: &[f32]) {
        let losses = losses.iter().map(|loss| f64::from(*loss));
        for loss in losses {
            self.loss_sum += loss;
            self.square_sum += loss * loss;
        }
    }
}

/// The loss of all `batches` with `adapters`, weighted by tokens, without dropout. One batch is held at a time, and its losses
/// read back, so that nothing piles up on a GPU ([`crate::device`]).
///
/// # Errors
/// When a token is out of range, a batch is too long for the model or of pairs, memory runs out, the device failed, or
/// `should_stop` says so between two blocks ([`Error::Interrupted`]).
pub fn evaluate(
    network: &impl Network,
    adapters: Option<Arc<AdapterSet>>,
    batches: impl IntoIterator<Item = Batch>,
    should_stop: &dyn Fn() -> bool,
) -> Result<Evaluation> {
    let context = Context::inference(adapters);
    let mut sum = Evaluation::default();
    for batch in batches {
        if !batch.pairs.is_empty() {
            return Err(Error::pairs(&batch));
        }
        sum.add(&round(|| losses(network, &context, &batch, should_stop))?);
        sum.tokens += batch.trained_tokens;
    }
    Ok(sum)
}

/// Losses of all places of `batch`, zero where there is no target.
pub(super) fn losses(
    network: &impl Network,
    context: &Context,
    batch: &Batch,
    should_stop: &dyn Fn() -> bool,
) -> Result<Vec<f32>> {
    let hidden = hidden(network, context, batch, should_stop)?;
    let losses = head(network, context, batch).losses(&hidden)?;
    Ok(read_back(network.device(), || losses.to_vec1())?)
}

fn head<'a, N: Network>(network: &'a N, context: &'a Context, batch: &'a Batch) -> Head<'a, N> {
    Head {
        network,
        context,
        targets: &batch.targets,
    }
}

/// What the output head is multiplied by, `(M, D)`, in no graph.
fn hidden(
    network: &impl Network,
    context: &Context,
    batch: &Batch,
    should_stop: &dyn Fn() -> bool,
) -> Result<Tensor> {
    let pass = network.pass(&batch.layout, context)?;
    let mut x = network.embed(&batch.inputs, &batch.layout, context)?;
    for index in 0..network.n_blocks() {
        if should_stop() {
            return Err(Error::Interrupted);
        }
        // Detached: while weights are being trained, no graph may grow here.
        x = network.block(index, &x.detach(), &pass)?;
    }
    Ok(network.final_norm(&x.detach())?.flatten_to(1)?.detach())
}
