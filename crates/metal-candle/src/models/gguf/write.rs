//! A model as a GGUF file.

use super::architecture::Architecture;
use super::change::Change;
use super::describe;
use super::file_type::{FileType, Place};
use crate::gguf::{DataType, TensorSource, Writer};
use crate::models::{Error, Model, Part, Result};
use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::gguf::Gguf;
use std::io;

impl Model {
    /// Adds what llama.cpp needs to know of the model, and its tensors with the matrices stored as `file_type` says. The
    /// tokenizer is added by itself.
    ///
    /// # Errors
    /// When llama.cpp has no such model, or a setting cannot be written.
    pub fn add_to_gguf<'a>(&'a self, writer: &mut Writer<'a>, file_type: FileType) -> Result<()> {
        let n_blocks = self.config.num_hidden_layers;
        self.add_all(writer, file_type.number(), &|name, _, k| {
            file_type.of(Place::of(name, n_blocks), k)
        })
    }

    /// Adds what [`Self::add_to_gguf`] adds, with every matrix stored as it is in memory: blocks keep their bytes. `file_type` is
    /// llama.cpp's number for such a file (`general.file_type`).
    ///
    /// # Errors
    /// Those of [`Self::add_to_gguf`].
    pub fn add_to_gguf_as_stored<'a>(
        &'a self,
        writer: &mut Writer<'a>,
        file_type: u32,
    ) -> Result<()> {
        self.add_all(writer, file_type, &|_, weight, _| stored(weight))
    }

    fn add_all<'a>(
        &'a self,
        writer: &mut Writer<'a>,
        file_type: u32,
        data_type: DataTypes<'_>,
    ) -> Result<()> {
        let model_type = &self.config.model_type;
        let architecture = Architecture::of_model_type(model_type).ok_or_else(|| {
            let reason = "there is no way to write it as GGUF that is built";
            Error::unsupported("model_type", model_type, reason)
        })?;
        describe::settings(writer, architecture, self, file_type)?;
        describe::rope_settings(writer, architecture, &self.config)?;
        for (_, part) in self.decoder.parts() {
            self.add_part(writer, architecture, part, data_type)?;
        }
        Ok(())
    }

    fn add_part<'a>(
        &'a self,
        writer: &mut Writer<'a>,
        architecture: &'static Architecture,
        part: Part<'a>,
        data_type: DataTypes<'_>,
    ) -> Result<()> {
        let path = part.path();
        if let Some(weight) = part.matrix() {
            let (n, k) = weight.dims()?;
            let name = format!("{path}.weight");
            let change = self.change(architecture, &name);
            let name = in_file(architecture, &name)?;
            let data_type = data_type(&name, weight, k);
            writer.tensor(TensorSource {
                name,
                shape: vec![n, k],
                data_type,
                bytes: Box::new(move || {
                    matrix(weight, data_type, change).map_err(io::Error::other)
                }),
            });
        }
        let vectors = part
            .tensors()
            .into_iter()
            .filter(|(_, tensor)| tensor.rank() == 1);
        for (name, tensor) in vectors {
            let change = self.change(architecture, &name);
            writer.tensor(TensorSource {
                name: in_file(architecture, &name)?,
                shape: tensor.dims().to_vec(),
                data_type: DataType::F32,
                bytes: Box::new(move || vector(tensor, change).map_err(io::Error::other)),
            });
        }
        Ok(())
    }

    pub(super) fn change(&self, architecture: &Architecture, name: &str) -> Change {
        let heads = |field: &str| self.raw_config[field].as_u64().map(|heads| heads as usize);
        let queries = heads("num_attention_heads").unwrap_or(0);
        architecture.change(
            name,
            queries,
            heads("num_key_value_heads").unwrap_or(queries),
        )
    }
}

/// Type in which the matrix of a name in files is stored, which has rows of so many numbers.
type DataTypes<'a> = &'a dyn Fn(&str, &Weight, usize) -> DataType;

/// Type of a matrix as it is in memory; float16 of a packing that is not of GGUF.
fn stored(weight: &Weight) -> DataType {
    match (weight.as_gguf(), weight.tensor().map(Tensor::dtype)) {
        (Some(packed), _) => DataType::Blocks(packed.block()),
        (None, Some(DType::F32)) => DataType::F32,
        (None, Some(DType::BF16)) => DataType::Bf16,
        (None, _) => DataType::F16,
    }
}

fn in_file(architecture: &Architecture, name: &str) -> Result<String> {
    let reason = "llama.cpp has no such tensor in models of this type";
    architecture
        .in_file(name)
        .ok_or_else(|| Error::unsupported("tensor", name, reason))
}

/// A matrix as it is stored.
fn matrix(weight: &Weight, data_type: DataType, change: Change) -> Result<Vec<u8>> {
    let packed = weight.as_gguf();
    if let Some(packed) = packed.filter(|packed| DataType::Blocks(packed.block()) == data_type) {
        let rows = change.apply(packed.as_bytes())?;
        return Ok(rows.flatten_all()?.to_vec1::<u8>()?);
    }
    let dense = change.apply(&weight.dense()?.to_device(&Device::Cpu)?)?;
    match data_type {
        DataType::F32 => bytes(&dense, f32::to_le_bytes),
        DataType::F16 => bytes(&dense, f16::to_le_bytes),
        DataType::Blocks(block) => {
            let packed = Gguf::quantize(&dense, block)?;
            Ok(packed.as_bytes().flatten_all()?.to_vec1::<u8>()?)
        }
        _ => bytes(&dense, bf16::to_le_bytes),
    }
}

fn vector(tensor: &Tensor, change: Change) -> Result<Vec<u8>> {
    let tensor = change.apply(&tensor.to_device(&Device::Cpu)?)?;
    bytes(&tensor, f32::to_le_bytes)
}

/// Numbers of a tensor, each rounded to `T`.
fn bytes<T: WithDType, const N: usize>(
    tensor: &Tensor,
    to_bytes: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>> {
    let values = tensor.to_dtype(T::DTYPE)?.flatten_all()?.to_vec1::<T>()?;
    Ok(values.into_iter().flat_map(to_bytes).collect())
}
