//! The loss on an Apple GPU: chunks of rows through one buffer of logits, which becomes their gradient in
//! place.

use super::{Head, Losses, Saved};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{
    DeviceMatrix, DeviceTensor, FOUR, Launch, MatrixProduct, Onto, Output, Side, Source, Strided,
    device_of, ranges,
};
use crate::transfer::upload;
use candle_core::{DType, MetalDevice, Result as CandleResult, Shape, Tensor};

const SOURCE: Source = Source {
    name: "linear_cross_entropy",
    text: concat!(
        include_str!("../../metal/strides.metal"),
        include_str!("../../metal/fours.metal"),
        include_str!("../softcap/softcap.metal"),
        include_str!("rows.metal"),
    ),
};

/// Parts of a sum over the vocabulary at most: the gradient of the hidden state has few tiles, and as
/// many threadgroups as parts are at work on each.
const MOST_PARTS: usize = 16;

pub(super) struct Metal;

impl<const N: usize> Function<Head, N> for Metal {
    type Saved = Saved;

    fn forward(head: &Head, inputs: [&Tensor; N]) -> Result<(Value, Saved)> {
        compute(head, inputs[0], head.saves_dweight(N))
    }

    fn backward(head: &Head, saved: &Saved, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        saved.scaled(head, trace)
    }
}

fn compute(head: &Head, hidden: &Tensor, wants_dweight: bool) -> Result<(Value, Saved)> {
    let (rows, count) = (&head.rows, head.rows.indices.len());
    if count == 0 {
        let shape = head.result.shape();
        let loss = Value::copied(&Tensor::zeros(shape, DType::F32, hidden.device())?)?;
        let (dhidden, dweight) = (None, None);
        return Ok((loss, Saved { dhidden, dweight }));
    }
    let indices = upload(&rows.indices, count, hidden.device())?;
    let targets = upload(&rows.targets, count, hidden.device())?;
    let stored = [hidden, &indices, &targets].map(Tensor::storage_and_layout);
    let strided = |i: usize| Strided::of(&stored[i].0, stored[i].1);
    let (v, d) = head.weight.dims()?;
    let inputs = Inputs {
        device: device_of(hidden)?,
        hidden: strided(0)?,
        weight: head.weight.on_metal()?.into_matrix()?,
        indices: strided(1)?,
        targets: strided(2)?,
        softcap: head.softcap.map(|cap| cap as f32),
        chunk_rows: head.chunk_rows()?.min(count),
        count,
        d,
        v,
    };
    let sums = Sums {
        losses: inputs.float(count)?,
        dhidden: match hidden.track_op() {
            true => Some(inputs.dhidden(rows.n)?),
            false => None,
        },
        dweight: match wants_dweight {
            true => Some(inputs.float(v * d)?),
            false => None,
        },
    };
    inputs.add_chunks(&sums)?;
    let loss = match head.result {
        Losses::Sum => inputs.total(&sums.losses)?,
        Losses::Rows { .. } => {
            let losses = sums.losses.into_tensor(&count.into());
            Value::copied(&head.result_of(&losses)?)?
        }
    };
    let saved = Saved {
        dhidden: sums.dhidden.map(|dh| dh.into_tensor(hidden.shape())),
        dweight: sums.dweight.map(|dw| dw.into_tensor(&(v, d).into())),
    };
    Ok((loss, saved))
}

/// Results, over all chunks.
struct Sums {
    /// Loss of every trained row.
    losses: Output,
    /// `(N, D)`, zero where no row is trained.
    dhidden: Option<Output>,
    /// `(V, D)`.
    dweight: Option<Output>,
}

/// Memory that every chunk uses again.
struct Buffers {
    /// Rows of the hidden state, `(rows, D)`.
    rows: Output,
    /// `(rows, V)`, and then their gradients.
    logits: Output,
    /// Gradients of the rows, `(parts, rows, D)`.
    drows: Output,
}

/// Some of the trained rows.
#[derive(Clone, Copy)]
struct Chunk {
    first: usize,
    rows: usize,
}

/// The inputs.
struct Inputs<'a> {
    device: &'a MetalDevice,
    hidden: Strided<'a>,
    /// `(V, D)`.
    weight: DeviceMatrix,
    /// Indices of the trained rows.
    indices: Strided<'a>,
    targets: Strided<'a>,
    softcap: Option<f32>,
    count: usize,
    chunk_rows: usize,
    d: usize,
    v: usize,
}

impl Inputs<'_> {
    fn add_chunks(&self, sums: &Sums) -> Result<()> {
        let (_, parts) = ranges(self.v, MOST_PARTS);
        let drows = match sums.dhidden {
            Some(_) => parts * self.chunk_rows * self.d,
            None => 0,
        };
        let buffers = Buffers {
            rows: self.float(self.chunk_rows * self.d)?,
            logits: self.float(self.chunk_rows * self.v)?,
            drows: self.float(drows)?,
        };
        for first in (0..self.count).step_by(self.chunk_rows) {
            let rows = self.chunk_rows.min(self.count - first);
            self.add_chunk(Chunk { first, rows }, &buffers, sums)?;
        }
        Ok(())
    }

    fn add_chunk(&self, chunk: Chunk, buffers: &Buffers, sums: &Sums) -> Result<()> {
        let Buffers {
            rows,
            logits,
            drows,
        } = buffers;
        self.gather(chunk, rows)?;
        // The last chunk may have fewer rows than the memory.
        let h = rows.matrix(self.d).first_rows(chunk.rows)?;
        let of_weight = |x, side| MatrixProduct {
            alpha: 1.0,
            x,
            matrix: &self.weight,
            side,
            onto: Onto::Nothing,
        };
        of_weight(&h, Side::Transposed).run_into(logits.place(), DType::F32, 1)?;
        let differentiate = sums.dhidden.is_some() || sums.dweight.is_some();
        self.losses(chunk, logits, differentiate, &sums.losses)?;
        let dlogits = logits.matrix(self.v).first_rows(chunk.rows)?;
        if let Some(dweight) = &sums.dweight {
            self.add_dweight(chunk, &dlogits, &h, dweight)?;
        }
        if let Some(dhidden) = &sums.dhidden {
            let drows_of = of_weight(&dlogits, Side::AsItIs);
            drows_of.run_into(drows.place(), DType::F32, MOST_PARTS)?;
            self.scatter(chunk, drows, dhidden)?;
        }
        Ok(())
    }

    /// `dweight += dlogits^T h`; the first chunk writes it.
    fn add_dweight(
        &self,
        chunk: Chunk,
        dlogits: &DeviceTensor,
        h: &DeviceTensor,
        dweight: &Output,
    ) -> CandleResult<()> {
        let product = MatrixProduct {
            alpha: 1.0,
            x: &dlogits.transposed()?,
            matrix: &DeviceMatrix::dense(h.clone())?,
            side: Side::AsItIs,
            onto: match chunk.first {
                0 => Onto::Nothing,
                _ => Onto::Result,
            },
        };
        product.run_into(dweight.place(), DType::F32, 1)
    }

    /// `rows = hidden[indices]`.
    fn gather(&self, chunk: Chunk, rows: &Output) -> CandleResult<()> {
        self.launch("loss_gather")?
            .strided(&self.hidden)
            .strided(&self.indices)
            .int(chunk.first)?
            .int(self.d)?
            .output(rows)
            .over_elements(chunk.rows, self.d)
    }

    /// The losses of a chunk; its logits become their gradient where one is wanted.
    fn losses(
        &self,
        chunk: Chunk,
        logits: &Output,
        differentiate: bool,
        losses: &Output,
    ) -> CandleResult<()> {
        let kernel = match (self.softcap, self.v.is_multiple_of(FOUR)) {
            (None, false) => "loss_rows",
            (None, true) => "loss_rows_fours",
            (Some(_), false) => "loss_rows_bounded",
            (Some(_), true) => "loss_rows_bounded_fours",
        };
        self.launch(kernel)?
            .output(logits)
            .strided(&self.targets)
            .int(chunk.first)?
            .int(self.v)?
            .int(differentiate.into())?
            .output(losses)
            .float(self.softcap.unwrap_or(0.0))
            .over_rows(chunk.rows, self.v.div_ceil(FOUR))
    }

    /// `dhidden[indices] = sum of the parts of the rows`.
    fn scatter(&self, chunk: Chunk, drows: &Output, dhidden: &Output) -> CandleResult<()> {
        let (_, parts) = ranges(self.v, MOST_PARTS);
        self.launch("loss_scatter")?
            .input(drows)
            .strided(&self.indices)
            .int(chunk.first)?
            .int(self.d)?
            .int(parts)?
            .output(dhidden)
            .over_elements(chunk.rows, self.d)
    }

    /// Memory for the gradient of `n` rows: zeros where some have no loss.
    fn dhidden(&self, n: usize) -> CandleResult<Output> {
        let dhidden = self.float(n * self.d)?;
        if self.count < n {
            self.launch("loss_zeros")?
                .int(self.d)?
                .output(&dhidden)
                .over_elements(n, self.d)?;
        }
        Ok(dhidden)
    }

    fn total(&self, losses: &Output) -> CandleResult<Value> {
        let total = self.float(1)?;
        self.launch("loss_total")?
            .input(losses)
            .int(self.count)?
            .output(&total)
            .over_rows(1, self.count)?;
        Ok(total.into_value(&Shape::from(())))
    }

    fn launch(&self, kernel: &'static str) -> CandleResult<Launch<'_>> {
        Launch::new(self.device, &SOURCE, &[("H", self.hidden.dtype)], kernel)
    }

    /// New float32 memory.
    fn float(&self, elements: usize) -> CandleResult<Output> {
        Output::new(self.device, elements, DType::F32)
    }
}
