//! Codes and magnitudes of a matrix, as bitsandbytes chooses them.

use super::{BLOCK, NF4, Parts};
use crate::Result;
use crate::weight::slabs::each_slab;
use candle_core::Tensor;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use pulp::{Simd, WithSimd};

/// Blocks that a thread packs at a time.
const BLOCKS_OF_TASK: usize = 1024;

/// The parts of a matrix as nf4 in blocks of [`BLOCK`].
pub(super) fn parts(dense: &Tensor) -> Result<Parts> {
    let (numbers, device) = (dense.elem_count(), dense.device());
    let mut bytes = Vec::with_capacity(numbers.div_ceil(2));
    let mut absmax = Vec::with_capacity(numbers.div_ceil(BLOCK));
    each_slab(dense, |slab| {
        let (of_slab, largest) = packed(slab);
        bytes.extend(of_slab);
        absmax.extend(largest);
    })?;
    Ok(Parts {
        bytes: Tensor::from_vec(bytes, (numbers.div_ceil(2), 1), device)?,
        absmax: Tensor::from_vec(absmax, numbers.div_ceil(BLOCK), device)?,
        quant_map: Tensor::new(&NF4, device)?,
        nested: None,
    })
}

/// Bytes and largest magnitudes of whole blocks, and of the last one, by all threads.
fn packed(values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let mut bytes = vec![0; values.len().div_ceil(2)];
    let mut absmax = vec![0.0; values.len().div_ceil(BLOCK)];
    let places = bytes.chunks_mut(BLOCKS_OF_TASK * BLOCK / 2);
    let places = places.zip(absmax.chunks_mut(BLOCKS_OF_TASK));
    let tasks = values.chunks(BLOCKS_OF_TASK * BLOCK).zip(places);
    let tasks = tasks.map(|(values, (bytes, absmax))| Pack {
        values,
        bytes,
        absmax,
    });
    for_each_task(
        tasks.collect(),
        values.len(),
        |_: &mut (), task: Pack<'_>| {
            dispatch(task);
        },
    );
    (bytes, absmax)
}

/// Blocks that a task packs.
struct Pack<'a> {
    values: &'a [f32],
    bytes: &'a mut [u8],
    absmax: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let blocks = self.values.chunks(BLOCK);
        let places = self.bytes.chunks_mut(BLOCK / 2).zip(self.absmax);
        for (values, (bytes, absmax)) in blocks.zip(places) {
            let mut block = [0.0; BLOCK];
            block[..values.len()].copy_from_slice(values);
            *absmax = block.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let codes = nearest(&block, 1.0 / *absmax);
            let (codes, _) = codes.as_chunks::<2>();
            for (byte, [high, low]) in bytes.iter_mut().zip(codes) {
                *byte = (high << 4 | low) as u8;
            }
        }
    }
}

/// The first of the nearest values of each number times `factor`. Of a block of zeros, whose factor is
/// infinite, nothing is near, and the first code stands: it is times zero.
#[inline(always)]
fn nearest(block: &[f32; BLOCK], factor: f32) -> [u32; BLOCK] {
    let mut scaled = [0.0; BLOCK];
    for (scaled, x) in scaled.iter_mut().zip(block) {
        *scaled = (x * factor).clamp(-1.0, 1.0);
    }
    let (mut codes, mut distances) = ([0; BLOCK], [f32::INFINITY; BLOCK]);
    for (code, value) in NF4.into_iter().enumerate() {
        for i in 0..BLOCK {
            let distance = (scaled[i] - value).abs();
            let is_nearer = distance < distances[i];
            codes[i] = if is_nearer { code as u32 } else { codes[i] };
            distances[i] = if is_nearer { distance } else { distances[i] };
        }
    }
    codes
}
