//! Tensors of one block: the `state` of mlx-lm's `KVCache`, `RotatingKVCache` and `QuantizedKVCache`.

use super::{Checked, Problem};
use crate::models::Result as ModelResult;
use crate::models::cache::{Bound, Held, Piece};
use crate::models::json::shown_name;
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

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
pub(super) fn read(tensors: &SafeTensors<'_>, i: usize, class: &str) -> Checked<Held> {
    let block = Block { tensors, i };
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
    tensors: &'a SafeTensors<'a>,
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
        let words = self.words(&format!("{name}.0"))?;
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

    fn view(&self, name: &str) -> Checked<TensorView<'_>> {
        let name = format!("{}.{name}", self.i);
        let view = self.tensors.tensor(&name);
        view.map_err(|_| format!("no tensor {name}"))
    }

    /// Floats `(1, G, n, D)`.
    fn floats(&self, name: &str) -> Checked<Tensor> {
        let view = self.view(name)?;
        let bytes = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => numbers(bytes, f32::from_le_bytes),
            Dtype::F16 => numbers(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => numbers(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            other => return Err(self.wrong(name, "dtype F32, F16 or BF16", other)),
        };
        if !values.iter().all(|x| x.is_finite()) {
            return Err(self.wrong(name, "finite numbers", "others"));
        }
        self.shaped(name, values, view.shape())
    }

    /// Words of packed numbers, `(1, G, n, D * bits / 32)`.
    fn words(&self, name: &str) -> Checked<Tensor> {
        let view = self.view(name)?;
        match view.dtype() {
            Dtype::U32 => self.shaped(name, numbers(view.data(), u32::from_le_bytes), view.shape()),
            other => Err(self.wrong(name, "dtype U32", other)),
        }
    }

    fn shaped<T: candle_core::WithDType>(
        &self,
        name: &str,
        values: Vec<T>,
        shape: &[usize],
    ) -> Checked<Tensor> {
        match shape {
            [1, ..] if shape.len() == 4 && !shape.contains(&0) => {
                Tensor::from_vec(values, shape, &Device::Cpu).map_err(|error| error.to_string())
            }
            _ => Err(self.wrong(name, "a shape (1, G, n, D)", format_args!("{shape:?}"))),
        }
    }

    /// Number `j` of the state.
    fn number(&self, j: usize) -> Checked<usize> {
        let name = j.to_string();
        let view = self.view(&name)?;
        let value = match (view.dtype(), view.data().try_into()) {
            (Dtype::I32, Ok(bytes)) => i32::from_le_bytes(bytes),
            (other, _) => return Err(self.wrong(&name, "one number of dtype I32", other)),
        };
        usize::try_from(value).map_err(|_| self.wrong(&name, "0 or more", value))
    }

    fn wrong(&self, name: &str, expected: &str, got: impl std::fmt::Debug) -> Problem {
        format!("{}.{name} must have {expected}, got {got:?}", self.i)
    }
}

fn numbers<T, const N: usize>(bytes: &[u8], from_bytes: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (whole, _) = bytes.as_chunks::<N>();
    whole.iter().map(|bytes| from_bytes(*bytes)).collect()
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
