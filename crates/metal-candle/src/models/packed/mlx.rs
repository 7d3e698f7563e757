//! Matrices that mlx-lm quantizes: `weight`, `scales`, and `biases` of affine packings.

use crate::experts;
use crate::models::Result;
use crate::models::config::{Mlx, Mode, Packing};
use crate::models::json::shown_name;
use crate::models::weights::{FLOATS, Weights};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::weight::microscaling::Microscaled;
use safetensors::Dtype;

/// The matrix at `path` where the configuration says how it is packed and there are scales.
pub(super) fn matrix(
    weights: &Weights<'_>,
    settings: &Mlx,
    path: &str,
    (n, k): (usize, usize),
) -> Result<Option<Weight>> {
    let name = |part: &str| format!("{path}.{part}");
    let packing = settings.of(path);
    // Words without scales are a packed matrix that lacks them.
    let is_packed =
        weights.has(&name("scales")) || weights.dtype(&name("weight")) == Some(Dtype::U32);
    let Some(Packing { mode, bits, group }) = packing.filter(|_| is_packed) else {
        return Ok(None);
    };
    if !k.is_multiple_of(group) {
        weights.problem(format!(
            "{path}: rows of {k} do not divide into groups of {group}"
        ));
    }
    let groups = (n, k / group);
    let words = weights.of_dtypes(&name("weight"), (n, k * bits / 32), &[Dtype::U32])?;
    let packed = match mode {
        Mode::Affine => {
            let parts = [
                words,
                weights.scales(path, "scales", groups, &FLOATS)?,
                weights.of_dtypes(&name(settings.biases()), groups, &FLOATS)?,
            ];
            weights.pack(path, parts, |parts| {
                Ok(Affine::new(parts, bits, group)?.into())
            })?
        }
        Mode::Floats(kind) => {
            let scales = weights.scales(path, "scales", groups, &[Dtype::U8])?;
            weights.pack(path, [words, scales], |parts| {
                Ok(Microscaled::new(kind, parts)?.into())
            })?
        }
    };
    Ok(Some(packed))
}

/// Notes what the configuration says of packed matrices that are not there.
pub(super) fn check(weights: &Weights<'_>, settings: &Mlx) {
    for path in settings.named() {
        let of_first = |(mixture, layer)| experts::path(mixture, 0, layer);
        let one = experts::of_switch(path).map_or(path.into(), of_first);
        if !weights.has(&format!("{one}.scales")) {
            let path = shown_name(path);
            weights.problem(format!("missing {path}.scales, which quantization names"));
        }
    }
}
