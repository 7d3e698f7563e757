//! A threadgroup for every part of a tensor, a launch for every few tensors, into memory that the host reads.

use crate::metal::{FOUR, Launch, Source, device_of, on_metal};
use candle_core::{Error, Layout, Result, Tensor};
use metal_candle_mps::apple::memory;

const SOURCE: Source = Source {
    name: "squares",
    text: include_str!("squares.metal"),
};

/// Tensors of a launch at most, `MOST` of `squares.metal`: a kernel has 31 buffers.
const MOST: usize = 29;

/// Numbers of a part: enough for a threadgroup, few enough that a large tensor has many.
const PART: usize = 1 << 15;

/// `Tensors` of `squares.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    counts: [u32; MOST],
    starts: [u32; MOST],
    part: u32,
    plain: u32,
}

/// Sums of float32 tensors of fewer than 2^31 numbers: of the first as it is, where `plain_first`, or else of squares.
pub(super) fn squares(tensors: &[&Tensor], plain_first: bool) -> Result<Vec<f64>> {
    let device = device_of(tensors[0])?;
    let parts = |t: &Tensor| t.elem_count().div_ceil(PART);
    let n_parts: usize = tensors.iter().map(|t| parts(t)).sum();
    let sums = memory::readable::<f32>(device, n_parts).map_err(Error::wrap)?;
    let mut first = 0;
    for some in tensors.chunks(MOST) {
        let some = some.iter().map(|t| t.contiguous());
        let some = some.collect::<Result<Vec<_>>>()?;
        let plain = if plain_first && first == 0 {
            0
        } else {
            u32::MAX
        };
        launch(&some, plain, (&sums, first * size_of::<f32>()))?;
        first += some.iter().map(parts).sum::<usize>();
    }
    let sums = memory::read::<f32>(device, &sums, n_parts).map_err(Error::wrap)?;
    let mut sums = sums.into_iter().map(f64::from);
    Ok(tensors
        .iter()
        .map(|t| sums.by_ref().take(parts(t)).sum())
        .collect())
}

fn launch(
    tensors: &[Tensor],
    plain: u32,
    sums: (&candle_metal_kernels::metal::Buffer, usize),
) -> Result<()> {
    let stored: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let offset_of = |layout: &Layout| layout.start_offset() * size_of::<f32>();
    let mut offsets = tensors.iter().map(|t| offset_of(t.layout()));
    let kernel = match offsets.all(|offset| offset.is_multiple_of(FOUR * size_of::<f32>())) {
        true => "squares_fours",
        false => "squares",
    };
    let mut launch = Launch::new(device_of(&tensors[0])?, &SOURCE, &[], kernel)?;
    for i in 0..MOST {
        // What is missing is the first once more, and not read.
        let (storage, layout) = stored.get(i).unwrap_or(&stored[0]);
        launch = launch.buffer((on_metal(storage)?.buffer(), offset_of(layout)));
    }
    let (described, parts) = described(tensors, plain);
    launch
        .constants(&described)
        .in_place(sums)
        .over_rows(parts, PART / FOUR)
}

/// Description of tensors for the kernel, and the number of their parts.
fn described(tensors: &[Tensor], plain: u32) -> (Tensors, usize) {
    let (mut counts, mut starts, mut parts) = ([0; MOST], [u32::MAX; MOST], 0);
    for (i, tensor) in tensors.iter().enumerate() {
        let count = tensor.elem_count();
        (counts[i], starts[i]) = (count as u32, parts as u32);
        parts += count.div_ceil(PART);
    }
    let part = PART as u32;
    let tensors = Tensors {
        counts,
        starts,
        part,
        plain,
    };
    (tensors, parts)
}
