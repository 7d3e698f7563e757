//! Tensors of one block: the `state` of mlx-lm's `KVCache`, `RotatingKVCache` and `QuantizedKVCache`.

use super::{Checked, Problem};
use crate::models::Result as ModelResult;
use crate::models::cache::{Bound, Held, Piece};
use crate::models::checkpoint::Shard;
use crate::models::json::shown_name;
use candle_core::{DType, Device, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use safetensors::Dtype;

const WHOLE: &str = "KVCache";
const BOUNDED: &str = "RotatingKVCache";
const QUANTIZED: &str = "QuantizedKVCache";

/// Class and tensors of what a block holds: keys, values and the numbers of the class.
pub(super) fn write(held: &Held) -> (&'static str, ModelResult<Vec<Tensor>>) {
    let class = held.bound.map_or(WHOLE, |_| BOUNDED);
    let tensors = || {
        let [keys, values] = &held.tokens;
        let mut tensors = vec![keys.contiguous()?, values.contiguous()?];
        let next = keys.dim(2)?;
        let of_bound = held.bound.map(|bound| [bound.keep, bound.tokens, next]);
        for number in [held.n_tokens]
            .into_iter()
            .chain(of_bound.into_iter().flatten())
        {
            tensors.push(Tensor::new(number as i32, &Device::Cpu)?);
        }
        Ok(tensors)
    };
    (class, tensors())
}

/// What block `i` holds, with keys and values in float32 on the CPU.
pub(super) fn read(shard: &Shard, i: usize, class: &str) -> Checked<Held> {
    let block = Block { shard, i };
    match class {
        WHOLE => block.whole(),
        BOUNDED => block.bounded(),
        QUANTIZED => block.quantized(),
        other => Err(format!(
            "a cache of class {}, and {WHOLE}, {BOUNDED} and {QUANTIZED} can be read",
            shown_name(other)
        )),
    }
}

struct Block<'a> {
    shard: &'a Shard,
    i: usize,
}

impl Block<'_> {
    fn whole(&self) -> Checked<Held> {
        let tokens = [self.floats("0")?, self.floats("1")?];
        self.first(self.number(2)?, tokens)
    }

    /// The first `n_tokens` of `tokens`, behind which there may be room.
    fn first(&self, n_tokens: usize, tokens: Piece) -> Checked<Held> {
        let room = rows(&tokens)?;
        if n_tokens == 0 || n_tokens > room {
            return Err(format!("{n_tokens} tokens in room for {room}"));
        }
        Ok(Held {
            n_tokens,
            tokens: part(&tokens, &[(0, n_tokens)])?,
            bound: None,
        })
    }

    /// The next token's slot is `next`: those behind it hold older tokens, but for the kept ones, where there were more than
    /// slots.
    fn bounded(&self) -> Checked<Held> {
        let tokens = [self.floats("0")?, self.floats("1")?];
        let [n_tokens, keep, bound, next] = [2, 3, 4, 5].map(|j| self.number(j));
        let (n_tokens, keep, bound, next) = (n_tokens?, keep?, bound?, next?);
        let room = rows(&tokens)?;
        let turned = next < room && next < n_tokens;
        let held = if turned { room } else { next };
        let is_right = keep < bound
            && held <= room.min(n_tokens)
            && held >= n_tokens.min(bound - 1).max(1)
            && (!turned || next >= keep);
        if !is_right {
            return Err(format!(
                "{n_tokens} tokens, {bound} kept of them, the first {keep} among these, the next one in slot {next} of {room}: \
                 that cannot be"
            ));
        }
        let in_order = match turned {
            true => vec![(0, keep), (next, room - next), (keep, next - keep)],
            false => vec![(0, next)],
        };
        Ok(Held {
            n_tokens,
            tokens: part(&tokens, &in_order)?,
            bound: Some(Bound {
                tokens: bound,
                keep,
            }),
        })
    }

    fn quantized(&self) -> Checked<Held> {
        let (group, bits) = (self.number(3)?, self.number(4)?);
        let tokens = [
            self.dequantized("0", bits, group)?,
            self.dequantized("1", bits, group)?,
        ];
        self.first(self.number(2)?, tokens)
    }

    fn dequantized(&self, name: &str, bits: usize, group: usize) -> Checked<Tensor> {
        let words = self.rows(&format!("{name}.0"), &[Dtype::U32])?;
        let scales = self.floats(&format!("{name}.1"))?;
        let biases = self.floats(&format!("{name}.2"))?;
        let dense = || {
            let (b, g, n, width) = words.dims4()?;
            let rows = |tensor: &Tensor| tensor.reshape((b * g * n, ()));
            let parts = [
                words.reshape((b * g * n, width))?,
                rows(&scales)?,
                rows(&biases)?,
            ];
            let packed: Weight = Affine::new(parts, bits, group)?.into();
            packed.dense()?.reshape((b, g, n, ()))
        };
        dense().map_err(|error: candle_core::Error| format!("{}.{name}: {error}", self.i))
    }

    /// The tensor of this name, of one of these dtypes.
    fn tensor(&self, name: &str, dtypes: &[Dtype]) -> Checked<Tensor> {
        let full = format!("{}.{name}", self.i);
        let info = self.shard.metadata.info(&full);
        let info = info.ok_or_else(|| format!("no tensor {full}"))?;
        if !dtypes.contains(&info.dtype) {
            return Err(self.wrong(name, &format!("a dtype of {dtypes:?}"), info.dtype));
        }
        let tensor = self.shard.tensor(info, &Device::Cpu);
        let tensor = tensor.map_err(|error| error.to_string())?;
        tensor.ok_or_else(|| self.wrong(name, "finite numbers", "others"))
    }

    /// Floats `(1, G, n, D)`.
    fn floats(&self, name: &str) -> Checked<Tensor> {
        let floats = self.rows(name, &[Dtype::F32, Dtype::F16, Dtype::BF16])?;
        floats
            .to_dtype(DType::F32)
            .map_err(|error| error.to_string())
    }

    /// A tensor `(1, G, n, D)`.
    fn rows(&self, name: &str, dtypes: &[Dtype]) -> Checked<Tensor> {
        let tensor = self.tensor(name, dtypes)?;
        match tensor.dims() {
            [1, ..] if tensor.rank() == 4 && tensor.elem_count() > 0 => Ok(tensor),
            other => Err(self.wrong(name, "a shape (1, G, n, D)", other)),
        }
    }

    /// Number `j` of the state.
    fn number(&self, j: usize) -> Checked<usize> {
        let name = j.to_string();
        let bits = self.tensor(&name, &[Dtype::I32])?.to_scalar::<u32>();
        let bits = bits.map_err(|error| format!("{}.{name}: {error}", self.i))?;
        let value = bits.cast_signed();
        usize::try_from(value).map_err(|_| self.wrong(&name, "0 or more", value))
    }

    fn wrong(&self, name: &str, expected: &str, got: impl std::fmt::Debug) -> Problem {
        format!("{}.{name} must have {expected}, got {got:?}", self.i)
    }
}

/// Tokens that both have room for.
fn rows([keys, values]: &Piece) -> Checked<usize> {
    let of = |tensor: &Tensor| tensor.dim(2).map_err(|error| error.to_string());
    let (n, of_values) = (of(keys)?, of(values)?);
    match n == of_values {
        true => Ok(n),
        false => Err(format!("keys of {n} tokens, and values of {of_values}")),
    }
}

/// Runs of tokens, each from a first one on so many, behind each other.
fn part(tokens: &Piece, runs: &[(usize, usize)]) -> Checked<Piece> {
    let of = |tensor: &Tensor| {
        let parts = runs.iter().filter(|(_, n)| *n > 0);
        let parts = parts.map(|(first, n)| tensor.narrow(2, *first, *n));
        Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 2)
    };
    let [keys, values] = tokens;
    let both = || Ok([of(keys)?, of(values)?]);
    both().map_err(|error: candle_core::Error| error.to_string())
}
