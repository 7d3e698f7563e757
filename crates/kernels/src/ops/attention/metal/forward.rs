//! The result.

use super::THREADS;
use super::inputs::{Inputs, seen};
use crate::graph::Value;
use crate::host::untracked;
use crate::metal::{Output, SIMD, Strided, device_of};
use crate::ops::attention::Attention;
use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, Result, Storage, Tensor};

/// Queries that are too few for a tile, in which every SIMD group has eight.
const FEW: usize = 4;

/// The widest head of `attention_decode`.
const WIDEST_DECODED: usize = 256;

/// Keys of a range at least, and ranges at most: enough SIMD groups for a large GPU, few enough
/// results to join.
const LEAST_RANGE: usize = 32;
const MOST_RANGES: usize = 64;

/// Keys of one threadgroup at most. MLX goes over to two launches from 1024 on for large GPUs, from 4096 for others.
const MOST_WHOLE_KEYS: usize = 1024;

/// Its SIMD groups at most, and keys that one reads at a time: `MOST_SIMDS` and `AHEAD` of `decode.metal`.
const MOST_WHOLE_SIMDS: usize = 16;
const AHEAD: usize = 4;

/// SIMD groups of a threadgroup at most that has a range.
const MOST_SIMDS: usize = 8;

/// Values that forward leaves for backward.
pub(in crate::ops::attention) struct Saved {
    /// Maximum of each row of scores and 1 / sum of exp(score - maximum), `(B, H, Tq, 2)`.
    pub(super) statistics: Output,
    /// The result before it was rounded to a narrower dtype.
    pub(super) y: Option<Tensor>,
    /// Keys that every query sees, where there are spans.
    pub(super) seen: Option<Tensor>,
}

/// The result in the dtype of `q`, and what backward reads.
pub(super) fn forward(op: &Attention, [q, k, v]: [&Tensor; 3]) -> Result<(Value, Saved)> {
    let stored = [q, k, v].map(Tensor::storage_and_layout);
    let strided = |i: usize| Strided::of(&stored[i].0, stored[i].1);
    let seen = seen(op, q.device())?;
    let frozen = [&seen, &op.sinks].map(|t| t.as_ref().map(Tensor::storage_and_layout));
    let frozen = frozen.each_ref().map(|stored| {
        let strided = stored.as_ref().map(|(t, layout)| Strided::of(t, layout));
        strided.transpose()
    });
    let [ranges, sinks] = frozen;
    let qkv = [strided(0)?, strided(1)?, strided(2)?];
    let inputs = Inputs::new(op, device_of(q)?, qkv, [ranges?, sinks?])?;
    let is_few = op.sizes.queries <= FEW && op.sizes.width <= WIDEST_DECODED;
    let (y, statistics) = if is_few {
        inputs.decode()?
    } else {
        inputs.tiled()?
    };
    let saved = |seen, y| Saved {
        statistics,
        y,
        seen,
    };
    if q.dtype() == DType::F32 {
        let y = y.into_value(q.shape());
        return Ok((y, saved(seen.clone(), None)));
    }
    let wide = y.into_storage();
    let y = wide.to_dtype(&Layout::contiguous(q.shape()), q.dtype())?;
    let is_tracked = [q, k, v].into_iter().any(Tensor::track_op);
    let wide = is_tracked.then(|| untracked(Storage::Metal(wide), q.shape()));
    let y = Value::new(Storage::Metal(y), q.shape());
    Ok((y, saved(seen.clone(), wide)))
}

impl Inputs<'_> {
    /// `(B, H, Tq, D)` and `(B, H, Tq, 2)`, not written yet.
    fn results(&self) -> Result<(Output, Output)> {
        let rows = self.op.sizes.rows();
        let y = self.output(rows * self.op.sizes.width, DType::F32)?;
        Ok((y, self.output(rows * 2, DType::F32)?))
    }

    /// A tile of queries in every threadgroup.
    fn tiled(&self) -> Result<(Output, Output)> {
        let (y, statistics) = self.results()?;
        let kernel = match self.slices() {
            (64, _) => "attention_forward_64",
            _ => "attention_forward_128",
        };
        self.launch(kernel)?
            .strided(&self.sinks)
            .output(&y)
            .output(&statistics)
            .over_groups(
                self.tiles(self.op.sizes.queries, self.op.sizes.heads),
                THREADS,
            )?;
        Ok((y, statistics))
    }

    /// Few queries: in one launch, or over ranges of keys where there are many.
    fn decode(&self) -> Result<(Output, Output)> {
        match self.op.keys <= MOST_WHOLE_KEYS {
            true => self.decode_whole(),
            false => self.decode_ranges(),
        }
    }

    /// All keys of a query and head in every threadgroup.
    fn decode_whole(&self) -> Result<(Output, Output)> {
        let sizes = self.op.sizes;
        let (y, statistics) = self.results()?;
        let kernel = match sizes.width {
            ..=64 => "attention_decode_whole_64",
            65..=128 => "attention_decode_whole_128",
            _ => "attention_decode_whole_256",
        };
        let launch = self.launch(kernel)?.strided(&self.sinks);
        let launch = launch.output(&y).output(&statistics);
        let simds = self.op.keys.div_ceil(AHEAD).clamp(1, MOST_WHOLE_SIMDS);
        let threads = launch.most_threads(simds * SIMD);
        let groups = [sizes.heads, sizes.queries, sizes.batch];
        launch.over_groups(groups, [threads, 1, 1])?;
        Ok((y, statistics))
    }

    /// A range of keys in every SIMD group.
    fn decode_ranges(&self) -> Result<(Output, Output)> {
        let sizes = self.op.sizes;
        let (y, statistics) = self.results()?;
        let range = self.op.keys.div_ceil(MOST_RANGES).max(LEAST_RANGE);
        let ranges = self.op.keys.div_ceil(range);
        let rows = sizes.rows();
        let parts = self.output(rows * ranges * sizes.width, DType::F32)?;
        let part_statistics = self.output(rows * ranges * 2, DType::F32)?;
        let kernel = match sizes.width {
            ..=64 => "attention_decode_64",
            65..=128 => "attention_decode_128",
            _ => "attention_decode_256",
        };
        let groups = [ranges, sizes.batch * sizes.kv_heads, sizes.queries];
        self.launch(kernel)?
            .output(&parts)
            .output(&part_statistics)
            .int(range)?
            .over_groups(groups, [sizes.group().min(MOST_SIMDS) * SIMD, 1, 1])?;
        self.bare("attention_join")?
            .input(&parts)
            .input(&part_statistics)
            .strided(&self.sinks)
            .constants(&self.sizes)
            .int(ranges)?
            .output(&y)
            .output(&statistics)
            .over_rows(rows, sizes.width)?;
        Ok((y, statistics))
    }
}
