//! Models that generate: random weights of a dtype, or a file.

use crate::options::Rival;
use crate::record::FILE;
use crate::train::{GROUP, PACKED, store_as};
use candle_core::Device;
use metal_candle::models::{Model, Segment};
use metal_candle_cli::error::Result;
use metal_candle_kernels::Weight;
use metal_candle_kernels::case::{Cost, MODELS, TABLE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Blocks of the first of [`MODELS`], which does not need to know them.
const LAYERS: usize = 24;

/// One of them.
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Storage of its weights, of most of them in a file.
    pub dtype: String,
    /// Where its sizes come from.
    pub source: &'static str,
    size: Size,
    file: Option<PathBuf>,
}

/// Numbers that a pass multiplies with, and what they take in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Size {
    /// Numbers of the blocks.
    blocks: usize,
    /// Numbers of the output head.
    head: usize,
    bytes: usize,
    vocabulary: usize,
}

/// Script of a rival that generates the same.
pub struct Twin {
    pub rival: Rival,
    pub script: &'static str,
    /// Packages of it.
    pub needs: &'static str,
    /// Words that it is told besides lengths.
    pub words: Vec<OsString>,
}

impl Subject {
    /// Random weights.
    pub fn random(dtype: &str) -> Self {
        Self {
            name: MODELS[0].name.into(),
            dtype: dtype.into(),
            source: TABLE,
            size: Size::of_qwen(dtype),
            file: None,
        }
    }

    /// A file, or a folder, which is read once for its sizes.
    ///
    /// # Errors
    /// When it is no model.
    pub fn of_file(path: &Path, device: &Device) -> Result<Self> {
        let model = Model::load(path, device)?;
        Ok(Self {
            name: path.file_stem().unwrap_or_default().display().to_string(),
            dtype: most(&model),
            source: FILE,
            size: Size::of_model(&model)?,
            file: Some(path.into()),
        })
    }

    /// Cost of a pass: every weight is read once and multiplied with every token; the head only with the last of each
    /// text.
    pub fn cost(&self, tokens: usize, texts: usize) -> Cost {
        Cost {
            flops: 2 * (tokens * self.size.blocks + texts * self.size.head) as u64,
            bytes: self.size.bytes as u64,
        }
    }

    /// Words by which a process of this program measures it.
    pub fn words(&self) -> Vec<OsString> {
        match &self.file {
            None => vec!["--one".into(), self.dtype.clone().into()],
            Some(path) => vec!["--model".into(), path.into(), "--one".into()],
        }
    }

    /// A rival's script; MLX's packing no rival's has.
    pub fn twin(&self) -> Option<Twin> {
        match &self.file {
            None if self.dtype == PACKED => None,
            None => Some(Twin {
                rival: Rival::Pytorch,
                script: "generate_transformers.py",
                needs: "scripts/bench/requirements.txt",
                words: vec![self.dtype.clone().into()],
            }),
            Some(path) => Some(Twin {
                rival: Rival::LlamaCpp,
                script: "generate_llama_cpp.py",
                needs: "scripts/bench/requirements-llama-cpp.txt",
                words: vec![
                    "--vocabulary".into(),
                    self.size.vocabulary.to_string().into(),
                    path.into(),
                ],
            }),
        }
    }
}

impl Size {
    fn of_qwen(dtype: &str) -> Self {
        let model = &MODELS[0];
        let attention = 2 * model.hidden * (model.heads + model.kv_heads) * model.head_width;
        let blocks = LAYERS * (attention + 3 * model.hidden * model.intermediate);
        let head = model.hidden * model.vocabulary;
        let numbers = blocks + head;
        let bytes = match dtype {
            // A scale and a bias of two bytes each.
            PACKED => numbers / 2 + numbers / GROUP * 4,
            "bf16" => 2 * numbers,
            _ => 4 * numbers,
        };
        Self {
            blocks,
            head,
            bytes,
            vocabulary: model.vocabulary,
        }
    }

    /// The embedding counts where it is the output head too.
    fn of_model(model: &Model) -> Result<Self> {
        let (mut size, mut embedding) = (Self::default(), Self::default());
        for (segment, weight) in matrices(model) {
            let (n, k) = weight.dims()?;
            let to = match segment {
                Segment::Embedding => &mut embedding,
                _ => &mut size,
            };
            match segment {
                Segment::Block(_) => to.blocks += n * k,
                _ => to.head += n * k,
            }
            to.bytes += weight.bytes();
        }
        if size.head == 0 {
            (size.head, size.bytes) = (embedding.head, size.bytes + embedding.bytes);
        }
        size.vocabulary = model.config.vocab_size;
        Ok(size)
    }
}

fn matrices(model: &Model) -> impl Iterator<Item = (Segment, &Weight)> {
    let parts = model.decoder.parts().into_iter();
    parts.filter_map(|(segment, part)| Some((segment, part.matrix()?)))
}

/// Storage of most bytes of the blocks.
fn most(model: &Model) -> String {
    let mut bytes = BTreeMap::new();
    for (segment, weight) in matrices(model) {
        if let Segment::Block(_) = segment {
            *bytes.entry(weight.kind()).or_insert(0) += weight.bytes();
        }
    }
    let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes);
    most.map(|(kind, _)| kind).unwrap_or_default()
}

/// The model of a process: a file as it is stored, or random weights.
///
/// # Errors
/// When there is none, or memory runs out.
pub fn open(path: Option<&Path>, dtype: Option<&str>, device: &Device) -> Result<Model> {
    match path {
        Some(path) => Ok(Model::load(path, device)?),
        None => random(qwen(), dtype.unwrap_or("f32"), device),
    }
}

fn random(config: Value, dtype: &str, device: &Device) -> Result<Model> {
    let mut model = Model::random(config, 0, device)?;
    store_as(&mut model, dtype)?;
    Ok(model)
}

fn qwen() -> Value {
    let model = &MODELS[0];
    json!({
        "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
        "hidden_size": model.hidden, "num_hidden_layers": LAYERS,
        "num_attention_heads": model.heads, "num_key_value_heads": model.kv_heads,
        "intermediate_size": model.intermediate, "vocab_size": model.vocabulary,
        "max_position_embeddings": 32768, "rope_theta": 1e6, "tie_word_embeddings": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::steps;
    use crate::record::Pass;
    use crate::train::DTYPES;

    fn tiny() -> Value {
        let mut config = qwen();
        for (field, value) in [
            ("hidden_size", 64),
            ("num_hidden_layers", 1),
            ("num_attention_heads", 2),
            ("num_key_value_heads", 1),
            ("intermediate_size", 128),
            ("vocab_size", 32),
        ] {
            config[field] = value.into();
        }
        config
    }

    #[test]
    fn a_tiny_model_generates_in_every_dtype() {
        for dtype in DTYPES {
            let model = random(tiny(), dtype, &Device::Cpu).unwrap();
            let secs = || steps::measure(&model, [5, 4].into_iter(), 3).unwrap();
            let answer = secs().answer(&Device::Cpu);
            let runs = |pass| answer.secs[&pass][""].len();
            assert_eq!((runs(Pass::Prefill), runs(Pass::Decode)), (1, 3));
            let answer = secs().by_text().answer(&Device::Cpu);
            assert_eq!(answer.secs[&Pass::Decode][""].len(), 1);
        }
    }

    #[test]
    fn a_token_reads_every_weight() {
        let cost = |dtype| Subject::random(dtype).cost(1, 1);
        // 494 million parameters, as published, less norms and biases.
        let millions = cost("f32").bytes / 4_000_000;
        assert_eq!(millions, 493);
        assert_eq!(cost("bf16").bytes * 2, cost("f32").bytes);
    }

    /// Weights of 64 x (64 + 64 + 32 + 32) and 3 x 64 x 128 in the block; an embedding of 32 x 64 that is the head
    /// counts, one beside a head does not.
    #[test]
    fn sizes_of_a_model_are_those_of_its_matrices() {
        for is_tied in [true, false] {
            let mut config = tiny();
            config["tie_word_embeddings"] = is_tied.into();
            let model = random(config, "bf16", &Device::Cpu).unwrap();
            let expected = Size {
                blocks: 36_864,
                head: 2048,
                bytes: 2 * (36_864 + 2048),
                vocabulary: 32,
            };
            assert_eq!(Size::of_model(&model).unwrap(), expected);
            assert_eq!(most(&model), "bf16");
        }
    }
}
