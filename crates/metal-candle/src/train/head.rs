//! Loss of the output head, and what of it goes back.

use super::{Network, Result};
use crate::lora::Context;
use candle_core::backprop::GradStore;
use candle_core::{D, DType, Device, Tensor, Var};
use metal_candle_kernels::{
    IGNORED_TARGET, Tape, Weight, linear_cross_entropy, linear_cross_entropy_rows, softmax, tape,
};

/// Logits that are held at a time: 60 MiB in float32.
const CHUNK: usize = 15 << 20;

/// Rows of logits that are held at a time, each of `vocab_size` numbers; one at least.
#[must_use]
pub fn rows_of_logits(vocab_size: usize) -> usize {
    (CHUNK / vocab_size.max(1)).max(1)
}

/// Hidden states behind the last norm with the tokens that come next.
pub(super) struct Head<'a, N> {
    pub(super) network: &'a N,
    pub(super) context: &'a Context,
    /// `(M)`; [`IGNORED_TARGET`] where a token is not trained.
    pub(super) targets: &'a [i64],
}

impl<N: Network> Head<'_, N> {
    /// Weight that is all of the head; `None` where an adapter lies beside it.
    pub(super) fn weight(&self) -> Option<Weight> {
        self.network.head_layer().weight_in(self.context)
    }

    /// Factor of the head, `(M, D)`, from the last block's output `top`, `(B, T, D)`.
    pub(super) fn normed(&self, top: &Tensor) -> Result<Tensor> {
        let hidden = self.network.final_norm(top)?;
        Ok(tape::reshape(&hidden, ((), hidden.dim(2)?))?)
    }

    /// Sum of the losses over `hidden`, `(M, D)`, by one operation with `weight`.
    pub(super) fn loss_with(&self, hidden: &Tensor, weight: &Weight) -> Result<Tensor> {
        let targets = Tensor::new(self.targets, &Device::Cpu)?;
        let cap = self.network.logit_cap();
        Ok(linear_cross_entropy(hidden, weight, &targets, cap)?)
    }

    /// Losses of all places, `(M)`, zero where there is no target, by one operation with `weight`.
    pub(super) fn losses_with(&self, hidden: &Tensor, weight: &Weight) -> Result<Tensor> {
        let targets = Tensor::new(self.targets, &Device::Cpu)?;
        let cap = self.network.logit_cap();
        Ok(linear_cross_entropy_rows(hidden, weight, &targets, cap)?)
    }

    /// Losses of all places over `hidden`, `(M, D)`, where nothing is trained.
    pub(super) fn losses(&self, hidden: &Tensor) -> Result<Tensor> {
        if let Some(weight) = self.weight() {
            return self.losses_with(hidden, &weight.detach());
        }
        let mut losses = Tensor::zeros(self.targets.len(), DType::F32, hidden.device())?;
        self.in_chunks(hidden, |chunk, rows| {
            losses = losses.index_add(rows, &chunk.losses()?, 0)?;
            Ok(())
        })?;
        Ok(losses)
    }

    /// Sum of the losses over `hidden`, `(M, D)`, with an adapter beside the head, and the gradient
    /// of `hidden`. `collect` is given the gradients of each chunk of tokens: logits of all tokens
    /// are never held.
    pub(super) fn loss_and_gradient(
        &self,
        hidden: &Tensor,
        mut collect: impl FnMut(&mut GradStore) -> Result<()>,
    ) -> Result<(Tensor, Tensor)> {
        let mut dhidden = hidden.zeros_like()?;
        let loss = self.in_chunks(hidden, |chunk, rows| {
            dhidden = chunk.backward(&chunk.gradient()?, rows, &dhidden, &mut collect)?;
            Ok(())
        })?;
        Ok((loss, dhidden))
    }

    /// Gradient of `hidden`, `(M, D)`, with an adapter beside the head, from the gradients `dlosses`, `(M)`, of the losses
    /// of places. `collect` is given the gradients of each chunk of tokens.
    pub(super) fn gradient(
        &self,
        hidden: &Tensor,
        dlosses: &Tensor,
        mut collect: impl FnMut(&mut GradStore) -> Result<()>,
    ) -> Result<Tensor> {
        let mut dhidden = hidden.zeros_like()?;
        self.in_chunks(hidden, |chunk, rows| {
            let factors = dlosses.index_select(rows, 0)?.unsqueeze(1)?;
            let dlogits = chunk.gradient()?.broadcast_mul(&factors)?;
            dhidden = chunk.backward(&dlogits, rows, &dhidden, &mut collect)?;
            Ok(())
        })?;
        Ok(dhidden)
    }

    fn in_chunks(
        &self,
        hidden: &Tensor,
        mut visit: impl FnMut(&Chunk, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let trained = |&i: &usize| self.targets[i] != IGNORED_TARGET;
        let trained: Vec<usize> = (0..self.targets.len()).filter(trained).collect();
        let (vocab_size, _) = self.network.head_layer().dims()?;
        let n_rows = rows_of_logits(vocab_size);
        let mut sum = Tensor::zeros((), DType::F32, hidden.device())?;
        for (i, rows) in trained.chunks(n_rows).enumerate() {
            let targets: Vec<u32> = rows.iter().map(|&i| self.targets[i] as u32).collect();
            let rows: Vec<u32> = rows.iter().map(|&i| i as u32).collect();
            let rows = Tensor::new(rows, hidden.device())?;
            let part = hidden.index_select(&rows, 0)?.detach();
            let context = Context {
                mode: self.context.mode.part(i),
                adapters: self.context.adapters.clone(),
            };
            let chunk = Chunk::new(self.network, &context, &part, targets)?;
            sum = (sum + chunk.losses()?.sum_all()?)?;
            visit(&chunk, &rows)?;
        }
        Ok(sum)
    }
}

/// Some tokens with their logits.
struct Chunk {
    /// `(m, D)`, tracked.
    hidden: Tensor,
    /// `(m, V)`.
    logits: Tensor,
    tape: Tape,
    /// `(m, 1)`.
    targets: Tensor,
}

impl Chunk {
    fn new(
        network: &impl Network,
        context: &Context,
        hidden: &Tensor,
        targets: Vec<u32>,
    ) -> Result<Self> {
        let hidden = Var::from_tensor(hidden)?.into_inner();
        let (logits, tape) = Tape::record(|| network.logits(&hidden, context))?;
        let targets = Tensor::new(targets, hidden.device())?.unsqueeze(1)?;
        Ok(Self {
            hidden,
            logits,
            tape,
            targets,
        })
    }

    /// `logsumexp(logits) - logits[target]` of each token.
    fn losses(&self) -> Result<Tensor> {
        let logits = self.logits.detach();
        let chosen = logits.gather(&self.targets, 1)?.squeeze(1)?;
        Ok((logits.log_sum_exp(D::Minus1)? - chosen)?)
    }

    /// Adds the gradient of the hidden states to the `rows` of `dhidden`; `collect` is given all others.
    fn backward(
        &self,
        dlogits: &Tensor,
        rows: &Tensor,
        dhidden: &Tensor,
        collect: &mut impl FnMut(&mut GradStore) -> Result<()>,
    ) -> Result<Tensor> {
        let mut store = self.tape.backward(&self.logits, dlogits)?;
        collect(&mut store)?;
        match store.remove(&self.hidden) {
            Some(dx) => Ok(dhidden.index_add(rows, &dx, 0)?),
            None => Ok(dhidden.clone()),
        }
    }

    /// `softmax(logits) - onehot(target)`.
    fn gradient(&self) -> Result<Tensor> {
        let minus_one = self.targets.to_dtype(DType::F32)?.affine(0.0, -1.0)?;
        let shares = softmax(&self.logits.detach())?;
        Ok(shares.scatter_add(&self.targets, &minus_one, 1)?)
    }
}
