//! Products of a model's layers, which a measurement is made for.

use candle_core::DType;
use serde::{Deserialize, Serialize};

use super::cell::{Storage, dtype_name, logarithms};
use super::{Bucket, Caps};
use crate::plan::limits::MAX_DIMENSION;

/// Layer of a model: its weight is `(outputs, inputs)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Width of its output.
    pub outputs: usize,
    /// Width of its input.
    pub inputs: usize,
    /// Element type of its weight.
    pub weight: DType,
}

/// Numbers of tokens that a layer sees at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    /// In a pass of generation.
    pub decoded: usize,
    /// In a short prompt.
    pub prompt: usize,
    /// In a batch of training.
    pub trained: usize,
}

/// Product `(M, K)` by `(K, N)` of given element types, storage and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductShape {
    /// Element type of the left factor and of the result.
    #[serde(with = "dtype_name")]
    pub dtype: DType,
    /// Element type of the right factor.
    #[serde(with = "dtype_name")]
    pub weight: DType,
    /// How the factors are stored.
    pub storage: Storage,
    /// M, N and K.
    pub sizes: [usize; 3],
}

impl ProductShape {
    /// Bucket of it; none of nothing.
    pub fn bucket(&self) -> Option<Bucket> {
        Some(Bucket {
            dtype: self.dtype,
            weight: (self.weight != self.dtype).then_some(self.weight),
            storage: self.storage,
            log2: logarithms(self.sizes)?,
        })
    }

    /// Whether the policy may give such a product to MPS on a device.
    pub fn can_be_mps(&self, caps: &Caps) -> bool {
        let has_bf16 = caps.bf16 && caps.ndarray && !caps.emulates_bf16();
        let is_taken = self.dtype != DType::BF16 || has_bf16;
        is_taken && self.sizes.iter().all(|&size| size <= MAX_DIMENSION)
    }
}

/// Products of all `layers` whose inputs are of the type `activations`, each once: `x W^T` of the tokens
/// that are decoded, of a prompt and of a batch, and `dy W` of a batch. Layers whose products no engine of MPS could compute
/// are left out: those with weights of another 16-bit type than their inputs have, or wider ones.
pub fn products(layers: &[Layer], activations: DType, tokens: Tokens) -> Vec<ProductShape> {
    let mut products = vec![];
    let of_layers = layers.iter().filter(|layer| {
        layer.weight == activations || activations == DType::F32 && is_half(layer.weight)
    });
    for product in of_layers.flat_map(|layer| of_layer(layer, activations, tokens)) {
        if !products.contains(&product) {
            products.push(product);
        }
    }
    // What takes longest is the most useful, and work in all is limited.
    products.sort_by_key(|product| std::cmp::Reverse(product.sizes[0]));
    products
}

fn of_layer(layer: &Layer, dtype: DType, tokens: Tokens) -> Vec<ProductShape> {
    let (n, k, weight) = (layer.outputs, layer.inputs, layer.weight);
    let of = |storage, sizes| ProductShape {
        dtype,
        weight,
        storage,
        sizes,
    };
    let forward = [tokens.trained, tokens.prompt, tokens.decoded];
    let forward = forward.map(|rows| of(Storage::Nt, [rows, n, k]));
    let gradient = of(Storage::Nn, [tokens.trained, k, n]);
    forward.into_iter().chain([gradient]).collect()
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}
