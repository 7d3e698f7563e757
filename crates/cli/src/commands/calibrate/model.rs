//! Products and softmax of a model, to be measured.

use crate::error::{Error, Result};
use candle_core::DType;
use metal_candle::models::Model;
use metal_candle::train::rows_of_logits;
use metal_candle_mps::policy::{Layer, ProductShape, Tokens, products};
use serde::{Deserialize, Serialize};

/// Products and softmax of a model; the default is none.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    pub products: Vec<ProductShape>,
    /// Binary logarithms of rows and their length.
    pub softmax: Vec<[u32; 2]>,
}

impl Work {
    /// The words by which another process is told.
    ///
    /// # Errors
    /// When they cannot be put as JSON.
    pub fn words(&self) -> Result<[String; 2]> {
        let text = serde_json::to_string(self).map_err(Error::failed)?;
        Ok(["--work".into(), text])
    }

    /// Work of the layers within the blocks of `model`.
    ///
    /// # Errors
    /// When a layer does not tell its sizes.
    pub fn of_model(model: &Model, activations: DType, tokens: Tokens) -> Result<Self> {
        let infos = model.decoder.layer_infos()?;
        let stored = model.decoder.adaptable();
        let layers: Vec<Layer> = infos
            .iter()
            .zip(&stored)
            // The ends of the model, and packed weights, are read by kernels of our own alone.
            .filter(|(info, _)| info.block.is_some())
            .filter_map(|(info, layer)| {
                Some(Layer {
                    outputs: info.out_features,
                    inputs: info.in_features,
                    weight: layer.weight().tensor()?.dtype(),
                })
            })
            .collect();
        let vocab_size = model.config.vocab_size;
        let rows = rows_of_logits(vocab_size).min(tokens.trained);
        Ok(Self {
            products: products(&layers, activations, tokens),
            softmax: vec![[rows, vocab_size].map(usize::ilog2)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use metal_candle_mps::policy::Storage;
    use serde_json::json;

    /// A Llama of 24 by 2 heads of 8 columns, one of them of keys and values, 40 inside and 50 tokens.
    fn model() -> Model {
        let config = json!({
            "model_type": "llama", "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
            "num_attention_heads": 3, "num_key_value_heads": 1, "vocab_size": 50, "rms_norm_eps": 1e-6,
            "max_position_embeddings": 64,
        });
        Model::random(config, 0, &Device::Cpu).unwrap()
    }

    #[test]
    fn every_shape_of_a_model_is_measured_once() {
        let tokens = Tokens {
            decoded: 1,
            prompt: 6,
            trained: 20,
        };
        let work = Work::of_model(&model(), DType::F32, tokens).unwrap();
        let of = |wanted: Storage, rows: usize| {
            let alike = work.products.iter();
            let alike = alike.filter(|it| (it.storage, it.sizes[0]) == (wanted, rows));
            let mut sizes: Vec<_> = alike.map(|it| (it.sizes[1], it.sizes[2])).collect();
            sizes.sort_unstable();
            sizes
        };
        // Queries and the output, keys and values, gate and up, down: N x K, and K x N of the gradient.
        let forward = [(8, 24), (24, 24), (24, 40), (40, 24)];
        for rows in [1, 6, 20] {
            assert_eq!(of(Storage::Nt, rows), forward);
        }
        assert_eq!(of(Storage::Nn, 20), [(24, 8), (24, 24), (24, 40), (40, 24)]);
        assert_eq!(work.products.len(), 16);
        let is_f32 = |it: &ProductShape| (it.dtype, it.weight) == (DType::F32, DType::F32);
        assert!(work.products.iter().all(is_f32), "{work:?}");
        // 20 rows of 50 logits.
        assert_eq!(work.softmax, [[4, 5]]);
    }

    #[test]
    fn another_process_is_told_the_same() {
        let tokens = Tokens {
            decoded: 1,
            prompt: 6,
            trained: 20,
        };
        let work = Work::of_model(&model(), DType::F32, tokens).unwrap();
        let [option, text] = work.words().unwrap();
        assert_eq!(option, "--work");
        assert_eq!(serde_json::from_str::<Work>(&text).unwrap(), work);
    }
}
