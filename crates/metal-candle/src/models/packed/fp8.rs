//! Floats of 8 bits with a scale for each block, row or matrix.

use super::Listed;
use crate::models::Result;
use crate::models::config::Fp8 as Settings;
use crate::models::weights::{FLOATS, TensorShape, Weights};
use candle_core::DType;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::fp8::Fp8;
use safetensors::Dtype;

/// Names of scales, of which a matrix has one; all of them are multiplied by.
const SCALES: [&str; 2] = ["weight_scale_inv", "weight_scale"];

/// Scales of activations, which are not rounded here.
const OF_ACTIVATIONS: [&str; 2] = ["activation_scale", "input_scale"];

/// The matrix at `path`, if it is packed.
pub(super) fn matrix(
    weights: &Weights<'_>,
    settings: &Settings,
    path: &str,
    (n, k): (usize, usize),
) -> Result<Option<Weight>> {
    let listed = Listed {
        skipped: &settings.skipped,
        field: "modules_to_not_convert",
    };
    let there = |part: &&str| weights.has(&format!("{path}.{part}"));
    let Some(part) = SCALES.into_iter().find(there) else {
        listed.check_dense(weights, path, &format!("{path}.{}", SCALES[0]));
        return Ok(None);
    };
    let name = format!("{path}.{part}");
    listed.check_packed(weights, path, &name);
    for part in OF_ACTIVATIONS {
        weights.ignore(&format!("{path}.{part}"));
    }
    let (block, shape) = block(settings, weights, &name, (n, k));
    let bytes = TensorShape::Is(&[n, k]);
    let bytes = weights.bytes(&format!("{path}.weight"), bytes, &[Dtype::F8_E4M3])?;
    let dtypes = [&FLOATS[..], &[Dtype::F8_E8M0]].concat();
    let scales = weights.scales(path, part, shape, &dtypes)?;
    let blocks = (n.div_ceil(block.0), k.div_ceil(block.1));
    let packed = weights.pack(path, [bytes, scales], |[bytes, scales]| {
        let scales = scales.to_dtype(DType::F32)?.reshape(blocks)?;
        Ok(Fp8::new([bytes.reshape((n, k))?, scales], block)?.into())
    });
    packed.map(Some)
}

/// Rows and columns that share a scale, and the shape that scales must have.
fn block(
    settings: &Settings,
    weights: &Weights<'_>,
    scales: &str,
    (n, k): (usize, usize),
) -> ((usize, usize), Vec<usize>) {
    if let Some((rows, columns)) = settings.block {
        let shape = vec![n.div_ceil(rows), k.div_ceil(columns)];
        return ((rows, columns), shape);
    }
    match weights.shape(scales).unwrap_or_default() {
        // One for each row.
        [rows] if *rows == n && n > 1 => ((1, k), vec![n]),
        [rows, 1] if *rows == n && n > 1 => ((1, k), vec![n, 1]),
        // One for all.
        [1] => ((n, k), vec![1]),
        _ => ((n, k), vec![]),
    }
}
