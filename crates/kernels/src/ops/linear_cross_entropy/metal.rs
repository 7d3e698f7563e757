//! The loss on an Apple GPU: chunks of rows through one buffer of logits, which becomes their gradient in
//! place.

use super::{Head, Saved};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{Launch, Output, SIMD, Source, Strided, device_of, on_metal};
use candle_core::{DType, MetalDevice, Result as CandleResult, Shape, Tensor};

const SOURCE: Source = Source {
    name: "linear_cross_entropy",
    text: concat!(
        include_str!("../softcap/softcap.metal"),
        include_str!("product.metal"),
        include_str!("rows.metal"),
    ),
};

/// Rows and columns of a threadgroup, steps of a sum in its memory, and its threads, as in
/// `product.metal`.
const TILE: usize = 64;
const CHUNK: usize = 32;
const THREADS: usize = 4 * SIMD;

/// Parts of a sum over the vocabulary at most, and how long one is at least: the gradient of the
/// hidden state has few tiles, and as many threadgroups as parts are at work on each.
const MOST_PARTS: usize = 16;
const LEAST_RANGE: usize = 1024;

/// `ProductSizes` of `product.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ProductSizes {
    rows: u32,
    columns: u32,
    inner: u32,
    range: u32,
    add: u32,
}

pub(super) struct Metal;

impl<const N: usize> Function<Head, N> for Metal {
    type Saved = Saved;

    fn forward(head: &Head, inputs: [&Tensor; N]) -> Result<(Value, Saved)> {
        compute(head, inputs[0], N > 1)
    }

    fn backward(_: &Head, saved: &Saved, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        saved.scaled(trace)
    }
}

fn compute(head: &Head, hidden: &Tensor, wants_dweight: bool) -> Result<(Value, Saved)> {
    let (rows, count) = (&head.rows, head.rows.indices.len());
    if count == 0 {
        let loss = Value::copied(&Tensor::zeros((), DType::F32, hidden.device())?)?;
        let (dhidden, dweight) = (None, None);
        return Ok((loss, Saved { dhidden, dweight }));
    }
    let weight = head.weight.dense()?;
    let indices = Tensor::new(&rows.indices[..], hidden.device())?;
    let targets = Tensor::new(&rows.targets[..], hidden.device())?;
    let stored = [hidden, &weight, &indices, &targets].map(Tensor::storage_and_layout);
    let strided = |i: usize| Strided::of(&stored[i].0, stored[i].1);
    let (v, d) = weight.dims2()?;
    let inputs = Inputs {
        device: device_of(hidden)?,
        hidden: strided(0)?,
        weight: strided(1)?,
        indices: strided(2)?,
        targets: strided(3)?,
        softcap: head.softcap.map(|cap| cap as f32),
        chunk_rows: head.chunk_rows()?.min(count),
        count,
        d,
        v,
    };
    let sums = Sums {
        losses: inputs.float(count)?,
        dhidden: match hidden.track_op() {
            true => Some(Tensor::zeros(hidden.shape(), DType::F32, hidden.device())?),
            false => None,
        },
        dweight: match wants_dweight {
            true => Some(inputs.float(v * d)?),
            false => None,
        },
    };
    inputs.add_chunks(&sums)?;
    let loss = inputs.total(&sums.losses)?;
    let saved = Saved {
        dhidden: sums.dhidden,
        dweight: sums.dweight.map(|d| d.into_tensor(weight.shape())),
    };
    Ok((loss, saved))
}

/// Results, over all chunks.
struct Sums {
    /// Loss of every trained row.
    losses: Output,
    /// `(N, D)`, zero where no row is trained.
    dhidden: Option<Tensor>,
    /// `(V, D)`.
    dweight: Option<Output>,
}

/// Memory that every chunk uses again.
struct Buffers {
    /// Rows of the hidden state, `(rows, D)`.
    rows: Output,
    /// `(rows, V)`, and then their gradients.
    logits: Output,
    /// Saved of the rows, `(parts, rows, D)`.
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
    weight: Strided<'a>,
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
        let (n, d, v) = (chunk.rows, self.d, self.v);
        self.gather(chunk, rows)?;
        let whole = product(n, v, d, 1)?;
        self.product(rows.rows(d), self.weight, &whole, logits)?;
        let differentiate = sums.dhidden.is_some() || sums.dweight.is_some();
        self.losses(chunk, logits, differentiate, &sums.losses)?;
        if let Some(dweight) = &sums.dweight {
            let add = ProductSizes {
                add: (chunk.first > 0).into(),
                ..product(v, d, n, 1)?
            };
            let (left, right) = (logits.rows(v).transposed(), rows.rows(d).transposed());
            self.product(left, right, &add, dweight)?;
        }
        if let Some(dhidden) = &sums.dhidden {
            let parts = product(n, d, v, MOST_PARTS)?;
            self.product(logits.rows(v), self.weight.transposed(), &parts, drows)?;
            self.scatter(chunk, drows, dhidden)?;
        }
        Ok(())
    }

    /// `rows = hidden[indices]`.
    fn gather(&self, chunk: Chunk, rows: &Output) -> CandleResult<()> {
        self.launch("loss_gather", DType::F32)?
            .strided(&self.hidden)
            .strided(&self.indices)
            .int(chunk.first)?
            .int(self.d)?
            .output(rows)
            .over_elements(chunk.rows, self.d)
    }

    /// `to = a b^T`, of every range of the sum, or `to += a b^T`.
    fn product(
        &self,
        a: Strided<'_>,
        b: Strided<'_>,
        product: &ProductSizes,
        to: &Output,
    ) -> CandleResult<()> {
        let size = |size: u32| size as usize;
        let tiles = |length: u32| size(length).div_ceil(TILE);
        let parts = product.inner.div_ceil(product.range).max(1) as usize;
        let groups = [tiles(product.columns), tiles(product.rows), parts];
        self.launch("loss_product", b.dtype)?
            .strided(&a)
            .strided(&b)
            .constants(product)
            .output(to)
            .flops(&[
                2,
                size(product.rows),
                size(product.columns),
                size(product.inner),
            ])
            .over_groups(groups, [THREADS, 1, 1])
    }

    /// The losses of a chunk; its logits become their gradient where one is wanted.
    fn losses(
        &self,
        chunk: Chunk,
        logits: &Output,
        differentiate: bool,
        losses: &Output,
    ) -> CandleResult<()> {
        let kernel = match self.softcap {
            Some(_) => "loss_rows_bounded",
            None => "loss_rows",
        };
        self.launch(kernel, DType::F32)?
            .output(logits)
            .strided(&self.targets)
            .int(chunk.first)?
            .int(self.v)?
            .int(differentiate.into())?
            .output(losses)
            .float(self.softcap.unwrap_or(0.0))
            .over_rows(chunk.rows, self.v)
    }

    /// `dhidden[indices] = sum of the parts of the rows`.
    fn scatter(&self, chunk: Chunk, drows: &Output, dhidden: &Tensor) -> CandleResult<()> {
        let (_, parts) = ranges(self.v, MOST_PARTS);
        let (storage, _) = dhidden.storage_and_layout();
        self.launch("loss_scatter", DType::F32)?
            .input(drows)
            .strided(&self.indices)
            .int(chunk.first)?
            .int(self.d)?
            .int(parts)?
            .in_place((on_metal(&storage)?.buffer(), 0))
            .over_elements(chunk.rows, self.d)
    }

    fn total(&self, losses: &Output) -> CandleResult<Value> {
        let total = self.float(1)?;
        self.launch("loss_total", DType::F32)?
            .input(losses)
            .int(self.count)?
            .output(&total)
            .over_rows(1, self.count)?;
        Ok(total.into_value(&Shape::from(())))
    }

    fn launch(&self, kernel: &'static str, right: DType) -> CandleResult<Launch<'_>> {
        let types = [("H", self.hidden.dtype), ("B", right)];
        Launch::new(self.device, &SOURCE, &types, kernel)
    }

    /// New float32 memory.
    fn float(&self, elements: usize) -> CandleResult<Output> {
        Output::new(self.device, elements, DType::F32)
    }
}

/// A product whose sums are cut into at most `parts`.
fn product(rows: usize, columns: usize, inner: usize, parts: usize) -> CandleResult<ProductSizes> {
    let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
    let (range, _) = ranges(inner, parts);
    Ok(ProductSizes {
        rows: size(rows)?,
        columns: size(columns)?,
        inner: size(inner)?,
        range: size(range)?,
        add: 0,
    })
}

/// How long the parts of a sum are, in whole chunks, and how many.
fn ranges(inner: usize, most: usize) -> (usize, usize) {
    let range = inner.div_ceil(most).max(LEAST_RANGE);
    let range = range.next_multiple_of(CHUNK);
    (range, inner.div_ceil(range).max(1))
}
