use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::{
    Dropout, LoraWeights, MatMulOptions, Result, Weight, linear, lora_linear, matmul_with, mix_seed,
};
use std::sync::Arc;

/// Whether a forward pass is part of training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    dropout_seed: Option<u64>,
}

impl Mode {
    /// No dropout.
    pub const INFERENCE: Self = Self { dropout_seed: None };

    /// Dropout whose masks are fixed by `seed`: a recomputed pass draws the same.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self {
            dropout_seed: Some(seed),
        }
    }
}

/// The trained part of one linear layer; float32 whatever the dtype of the base weight.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Down projection, `(r, in_features)`.
    pub a: Var,
    /// Up projection, `(out_features, r)`.
    pub b: Var,
    /// Factor of the update.
    pub scale: f64,
    /// Dropout on the input while training.
    pub dropout: f64,
    /// Sets the dropout masks of this layer apart from those of others.
    pub stream: u64,
}

impl Adapter {
    /// `scale * B A` in float32, `(out_features, in_features)`.
    fn delta(&self) -> Result<Tensor> {
        let options = MatMulOptions {
            alpha: self.scale,
            ..MatMulOptions::default()
        };
        matmul_with(&self.b.detach(), &self.a.detach(), None, options)
    }

    /// `x W^T + bias` and the update. Outside training no graph is recorded.
    fn forward(
        &self,
        x: &Tensor,
        weight: &Weight,
        bias: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let (a, b) = match mode.dropout_seed {
            Some(_) => (self.a.as_tensor().clone(), self.b.as_tensor().clone()),
            None => (self.a.as_detached_tensor(), self.b.as_detached_tensor()),
        };
        let (scale, dropout) = (self.scale, self.dropout(mode)?);
        let weights = LoraWeights {
            a: &a,
            b: &b,
            scale,
            dropout,
        };
        lora_linear(x, weight, bias, weights)
    }

    fn dropout(&self, mode: Mode) -> Result<Option<Dropout>> {
        match mode.dropout_seed {
            Some(seed) if self.dropout > 0.0 => {
                Dropout::new(self.dropout, mix_seed(seed, self.stream)).map(Some)
            }
            _ => Ok(None),
        }
    }
}

/// `y = x W^T + bias`, with an optional adapter beside `W` or merged into it.
#[derive(Clone, Debug)]
pub struct Linear {
    path: Arc<str>,
    weight: Weight,
    bias: Option<Tensor>,
    adapter: Option<Adapter>,
    /// The weight as it was before the adapter was merged.
    unmerged: Option<Tensor>,
}

/// Whether an adapter could be merged into its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It is, or there is none.
    Done,
    /// The sum is not finite in the weight's dtype.
    Overflow,
    /// The weight is packed: rounded to its few bits, little of the sum would be left.
    Packed,
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
            adapter: None,
            unmerged: None,
        }
    }

    /// `x` is `(.., in_features)`, the result `(.., out_features)` in the dtype of `x`.
    ///
    /// # Errors
    /// When the width of `x` differs.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref();
        match &self.adapter {
            Some(adapter) if self.unmerged.is_none() => {
                adapter.forward(x, &self.weight, bias, mode)
            }
            _ => linear(x, &self.weight, bias),
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

    /// The frozen matrix.
    #[must_use]
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// The frozen matrix, to be replaced; an adapter is unmerged first.
    pub fn weight_mut(&mut self) -> &mut Weight {
        self.unmerge();
        &mut self.weight
    }

    /// The adapter, if one is attached.
    #[must_use]
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// Attaches an adapter, or takes it away; a merged one is unmerged first.
    pub fn set_adapter(&mut self, adapter: Option<Adapter>) {
        self.unmerge();
        self.adapter = adapter;
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

    /// Adds the adapter's product to the weight: no cost per token any more. The sum is rounded
    /// once, to the weight's dtype. Where that is not finite, as in float16 above 65,504, or the
    /// weight is packed, the layer stays as it was.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn merge(&mut self) -> Result<Merged> {
        let (Some(adapter), None) = (&self.adapter, &self.unmerged) else {
            return Ok(Merged::Done);
        };
        let Some(weight) = self.weight.tensor_mut() else {
            return Ok(Merged::Packed);
        };
        let sum = (weight.to_dtype(DType::F32)? + adapter.delta()?)?;
        let merged = sum.to_dtype(weight.dtype())?;
        if !is_finite(&merged)? {
            return Ok(Merged::Overflow);
        }
        self.unmerged = Some(std::mem::replace(weight, merged));
        Ok(Merged::Done)
    }

    /// Restores the weight, bit for bit.
    pub fn unmerge(&mut self) {
        if let Some(weight) = self.unmerged.take() {
            self.weight = weight.into();
        }
    }

    /// Merges and forgets the adapter, and frees the weight as it was. A layer that cannot be
    /// merged keeps its adapter, as [`Self::merge`] says.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn fuse(&mut self) -> Result<Merged> {
        let merged = self.merge()?;
        if merged == Merged::Done {
            self.unmerged = None;
            self.adapter = None;
        }
        Ok(merged)
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    // Zero times a finite number is zero, times any other NaN.
    let zeros = tensor.flatten_all()?.affine(0.0, 0.0)?;
    Ok(zeros.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? == 0.0)
}
