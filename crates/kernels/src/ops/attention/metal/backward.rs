//! The gradients: those of queries by tiles of queries, those of keys and values by tiles of keys,
//! so that every sum has one order.

use super::THREADS;
use super::forward::Saved;
use super::inputs::Inputs;
use crate::graph::Gradients;
use crate::metal::{Output, Strided, device_of};
use crate::ops::attention::Attention;
use candle_core::{DType, Result, Tensor};

/// `Wanted` of `backward.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Wanted {
    dk: u32,
    dv: u32,
}

/// Tensors that forward read and wrote, and the gradient of its result.
struct Backward<'a> {
    inputs: Inputs<'a>,
    y: Strided<'a>,
    dy: Strided<'a>,
    statistics: &'a Output,
}

/// The gradients of `q`, `k` and `v`, those of them that are tracked; from these, `y` and `dy`.
pub(super) fn backward(
    op: &Attention,
    saved: &Saved,
    [q, k, v]: &[Tensor; 3],
    [y, dy]: [&Tensor; 2],
) -> Result<Gradients<3>> {
    let y = saved.y.as_ref().unwrap_or(y);
    let stored = [q, k, v, y, dy].map(Tensor::storage_and_layout);
    let strided = |i: usize| Strided::of(&stored[i].0, stored[i].1);
    let seen = saved.seen.as_ref().map(Tensor::storage_and_layout);
    let seen = seen
        .as_ref()
        .map(|(seen, layout)| Strided::of(seen, layout));
    let qkv = [strided(0)?, strided(1)?, strided(2)?];
    let backward = Backward {
        inputs: Inputs::new(op, device_of(q)?, qkv, [seen.transpose()?, None])?,
        y: strided(3)?,
        dy: strided(4)?,
        statistics: &saved.statistics,
    };
    backward.gradients([q, k, v])
}

impl Backward<'_> {
    fn gradients(&self, inputs: [&Tensor; 3]) -> Result<Gradients<3>> {
        let [q, k, v] = inputs.map(Tensor::track_op);
        let deltas = (q || k).then(|| self.deltas()).transpose()?;
        // Something must be bound even where no gradient of the scores is wanted.
        let deltas = deltas.as_ref().unwrap_or(self.statistics);
        let dq = match q {
            true => Some(self.queries(deltas, inputs[0].dtype())?),
            false => None,
        };
        let (dk, dv) = match k || v {
            true => self.keys(deltas, [inputs[1], inputs[2]])?,
            false => (None, None),
        };
        let tensor = |d: Option<Output>, like: &Tensor| d.map(|d| d.into_tensor(like.shape()));
        Ok([
            tensor(dq, inputs[0]),
            tensor(dk, inputs[1]),
            tensor(dv, inputs[2]),
        ])
    }

    /// `(B, H, Tq)`.
    fn deltas(&self) -> Result<Output> {
        let sizes = self.inputs.op.sizes;
        let rows = sizes.rows();
        let deltas = self.inputs.output(rows, DType::F32)?;
        let [tiles, heads, _] = self.inputs.tiles(sizes.queries, sizes.heads);
        self.inputs
            .bare("attention_delta")?
            .strided(&self.y)
            .strided(&self.dy)
            .constants(&self.inputs.sizes)
            .output(&deltas)
            .over_groups([tiles, heads, 1], THREADS)?;
        Ok(deltas)
    }

    fn queries(&self, deltas: &Output, dtype: DType) -> Result<Output> {
        let sizes = self.inputs.op.sizes;
        let elements = sizes.rows() * sizes.width;
        let dq = self.inputs.output(elements, dtype)?;
        let kernel = match self.inputs.slices() {
            (64, _) => "attention_queries_64",
            _ => "attention_queries_128",
        };
        self.inputs
            .launch(kernel)?
            .strided(&self.dy)
            .input(self.statistics)
            .input(deltas)
            .output(&dq)
            .over_groups(self.inputs.tiles(sizes.queries, sizes.heads), THREADS)?;
        Ok(dq)
    }

    fn keys(&self, deltas: &Output, kv: [&Tensor; 2]) -> Result<(Option<Output>, Option<Output>)> {
        let sizes = self.inputs.op.sizes;
        let [k, v] = kv.map(Tensor::track_op);
        let wanted = Wanted {
            dk: k.into(),
            dv: v.into(),
        };
        // Something must be bound even where nothing is written.
        let output = |t: &Tensor, wanted| {
            let elements = if wanted { t.elem_count() } else { 1 };
            self.inputs.output(elements, t.dtype())
        };
        let (dk, dv) = (output(kv[0], k)?, output(kv[1], v)?);
        let kernel = match self.inputs.slices() {
            (64, _) => "attention_keys_64",
            _ => "attention_keys_128",
        };
        self.inputs
            .launch(kernel)?
            .strided(&self.dy)
            .input(self.statistics)
            .input(deltas)
            .constants(&wanted)
            .output(&dk)
            .output(&dv)
            .over_groups(
                self.inputs.tiles(self.inputs.op.keys, sizes.kv_heads),
                THREADS,
            )?;
        Ok((k.then_some(dk), v.then_some(dv)))
    }
}
