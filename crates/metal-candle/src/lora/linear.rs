use super::{Adapter, AdapterSet, Adapters, Context, LowRank, Share};
use candle_core::{Device, Tensor};
use metal_candle_kernels::{Layer, Result, Weight, linear, tape};
use std::sync::Arc;

/// Kind of a layer: how it reads its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `x W^T + bias`, the weight `(out_features, in_features)`.
    Linear,
    /// Rows of the weight, `(in_features, out_features)`: one for each token.
    Embedding,
}

/// Layer as operations take it that compute several at once: a weight, a bias, and LoRA's matrices or no adapter.
#[derive(Clone, Debug)]
pub struct PlainLayer<'a> {
    weight: &'a Weight,
    bias: Option<&'a Tensor>,
    lora: Option<LowRank>,
}

impl PlainLayer<'_> {
    /// The layer, for an operation.
    #[must_use]
    pub fn as_layer(&self) -> Layer<'_> {
        Layer {
            weight: self.weight,
            bias: self.bias,
            lora: self.lora.as_ref().map(LowRank::weights),
        }
    }
}

/// Adapters of a layer in a pass.
enum Adapted<'a> {
    No,
    By(&'a dyn Adapter),
    ByShare(&'a [Share]),
}

/// `y = x W^T + bias`. It knows its path, by which a pass chooses its adapter.
#[derive(Clone, Debug)]
pub struct Linear {
    path: Arc<str>,
    weight: Weight,
    bias: Option<Tensor>,
}

impl Linear {
    /// `weight` is `(out_features, in_features)`, `bias` is `(out_features)`; `path` is that in a
    /// checkpoint, without `.weight`.
    #[must_use]
    pub fn new(path: &str, weight: impl Into<Weight>, bias: Option<Tensor>) -> Self {
        Self {
            path: path.into(),
            weight: weight.into(),
            bias,
        }
    }

    /// `x` is `(.., in_features)`, the result `(.., out_features)` in the dtype of `x`.
    ///
    /// # Errors
    /// When the width of `x` differs, or the shares of the context are not its tokens.
    pub fn forward(&self, x: &Tensor, context: &Context) -> Result<Tensor> {
        match self.adapted(context) {
            Adapted::No => linear(x, &self.weight, self.bias()),
            Adapted::By(adapter) => adapter.forward(x, self, context.mode),
            Adapted::ByShare(shares) => {
                let product = linear(x, &self.weight, None)?;
                let rows = x.flatten_to(x.rank() - 2)?;
                self.with_bias(self.by_share(&rows, &product, shares)?)
            }
        }
    }

    /// All of the layer in a pass, where no adapter is at work, or LoRA for all tokens.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn plain(&self, context: &Context) -> Result<Option<PlainLayer<'_>>> {
        let lora = match self.adapted(context) {
            Adapted::No => None,
            Adapted::By(adapter) => match adapter.low_rank(context.mode)? {
                None => return Ok(None),
                lora => lora,
            },
            Adapted::ByShare(_) => return Ok(None),
        };
        Ok(Some(PlainLayer {
            weight: &self.weight,
            bias: self.bias(),
            lora,
        }))
    }

    /// The matrix that is all of the layer in a pass; `None` where an adapter lies beside it.
    #[must_use]
    pub fn weight_in(&self, context: &Context) -> Option<Weight> {
        match self.adapted(context) {
            Adapted::No => Some(self.weight.clone()),
            Adapted::By(adapter) => adapter.weight(context.mode).map(Weight::Dense),
            Adapted::ByShare(_) => None,
        }
    }

    fn adapted<'a>(&self, context: &'a Context) -> Adapted<'a> {
        let of = |set: &'a AdapterSet| set.get(&self.path);
        match &context.adapters {
            Adapters::None => Adapted::No,
            Adapters::One(set) => of(set).map_or(Adapted::No, Adapted::By),
            Adapters::Shares(shares) => {
                let mut sets = shares.iter().filter_map(|share| share.set.as_deref());
                match sets.any(|set| of(set).is_some()) {
                    true => Adapted::ByShare(shares),
                    false => Adapted::No,
                }
            }
        }
    }

    /// What the adapter of each share makes of its part of one product with the weight, `(.., N)`;
    /// `x` has a row for each token.
    fn by_share(&self, x: &Tensor, product: &Tensor, shares: &[Share]) -> Result<Tensor> {
        let shape = product.shape().clone();
        let product = product.flatten_to(product.rank() - 2)?;
        let mut first = 0;
        let mut parts = vec![];
        for Share { n_tokens, set } in shares {
            let rows = |t: &Tensor| t.narrow(0, first, *n_tokens);
            parts.push(match set.as_ref().and_then(|set| set.get(&self.path)) {
                Some(adapter) => adapter.adapt(&rows(x)?, &rows(&product)?, self)?,
                None => rows(&product)?,
            });
            first += n_tokens;
        }
        Ok(Tensor::cat(&parts, 0)?.reshape(shape)?)
    }

    /// `y + bias`, `(.., out_features)`.
    pub(super) fn with_bias(&self, y: Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => tape::add(&y, &tape::cast(bias, y.dtype())?),
            None => Ok(y),
        }
    }

    /// Path in a checkpoint, without `.weight`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `(out_features, in_features)`.
    ///
    /// # Errors
    /// Never for a layer that was loaded.
    pub fn dims(&self) -> Result<(usize, usize)> {
        self.weight.dims()
    }

    /// Where the layer lies.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.weight.device()
    }

    /// The frozen matrix.
    #[must_use]
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// The frozen matrix, to be replaced.
    pub fn weight_mut(&mut self) -> &mut Weight {
        &mut self.weight
    }

    /// `(out_features)`.
    #[must_use]
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// What the weight consists of, and the bias, with their names.
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        let weight = self.weight.tensors().into_iter();
        weight.chain(self.bias.iter().map(|b| ("bias", b)))
    }

    /// A dense weight, and the bias, to be replaced, with their names.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Tensor)> {
        let weight = self.weight.tensor_mut().map(|weight| ("weight", weight));
        weight
            .into_iter()
            .chain(self.bias.iter_mut().map(|b| ("bias", b)))
    }
}

/// Vectors of tokens: the rows of a weight `(V, D)`.
#[derive(Clone, Debug)]
pub struct Embedding(Linear);

impl Embedding {
    /// `weight` is `(V, D)`; `path` is that in a checkpoint, without `.weight`.
    #[must_use]
    pub fn new(path: &str, weight: impl Into<Weight>) -> Self {
        Self(Linear::new(path, weight, None))
    }

    /// Token ids `(..)` of u32 to `(.., D)` in float32: activations are float32 whatever the weight
    /// is.
    ///
    /// # Errors
    /// When an id is not below `V`, or the shares of the context are not the tokens.
    pub fn forward(&self, ids: &Tensor, context: &Context) -> Result<Tensor> {
        match self.0.adapted(context) {
            Adapted::No => self.0.weight.gather(ids),
            Adapted::By(adapter) => adapter.forward(ids, &self.0, context.mode),
            Adapted::ByShare(shares) => {
                let rows = self.0.weight.gather(ids)?;
                self.0.by_share(&ids.flatten_all()?, &rows, shares)
            }
        }
    }

    /// The layer that adapters know: its weight, and its path.
    #[must_use]
    pub fn layer(&self) -> &Linear {
        &self.0
    }

    /// The matrix, `(V, D)`.
    #[must_use]
    pub fn weight(&self) -> &Weight {
        &self.0.weight
    }

    /// The matrix, to be replaced.
    pub fn weight_mut(&mut self) -> &mut Weight {
        &mut self.0.weight
    }
}
