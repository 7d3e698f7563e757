//! Whole numbers with zero points, as GPTQ, AWQ and compressed-tensors pack them.

use super::Listed;
use crate::models::Result;
use crate::models::config::ZeroPoint as Settings;
use crate::models::weights::{FLOATS, TensorShape, Weights};
use candle_core::DType;
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::zero_point::{Layout, Parts, Sizes, ZeroPoint};
use safetensors::Dtype;

/// Names of the tensors of a matrix.
struct Names {
    words: &'static str,
    zeros: &'static str,
    scales: &'static str,
    groups: &'static str,
}

const OF_GPTQ_AND_AWQ: Names = Names {
    words: "qweight",
    zeros: "qzeros",
    scales: "scales",
    groups: "g_idx",
};

const OF_COMPRESSED_TENSORS: Names = Names {
    words: "weight_packed",
    zeros: "weight_zero_point",
    scales: "weight_scale",
    groups: "weight_g_idx",
};

/// The matrix at `path`, if it is packed.
pub(super) fn matrix(
    weights: &Weights<'_>,
    settings: &Settings,
    path: &str,
    dims: (usize, usize),
) -> Result<Option<Weight>> {
    let names = match settings.layout {
        Layout::CompressedTensors => OF_COMPRESSED_TENSORS,
        _ => OF_GPTQ_AND_AWQ,
    };
    let name = |part: &str| format!("{path}.{part}");
    let listed = Listed {
        skipped: &settings.skipped,
        field: "modules_to_not_convert",
    };
    if !weights.has(&name(names.words)) {
        if settings.layout == Layout::Awq {
            listed.check_dense(weights, path, &name(names.words));
        }
        return Ok(None);
    }
    listed.check_packed(weights, path, &name(names.words));
    // AutoGPTQ writes biases of layers that have none.
    weights.ignore_zeros(&name("bias"))?;
    check_shape(weights, &name("weight_shape"), dims)?;
    let sizes = Sizes {
        dims,
        bits: settings.bits,
        group: settings.group.unwrap_or(dims.1),
    };
    match whole_groups(weights, path, sizes) {
        true => packed(weights, settings, &names, path, sizes).map(Some),
        false => Ok(Some(weights.stand_in()?.into())),
    }
}

/// Whether rows divide into groups; where they do not, that is noted.
fn whole_groups(weights: &Weights<'_>, path: &str, sizes: Sizes) -> bool {
    let (k, group) = (sizes.dims.1, sizes.group);
    let divide = k.is_multiple_of(group);
    if !divide {
        weights.problem(format!(
            "{path}: rows of {k} do not divide into groups of {group}"
        ));
    }
    divide
}

fn packed(
    weights: &Weights<'_>,
    settings: &Settings,
    names: &Names,
    path: &str,
    sizes: Sizes,
) -> Result<Weight> {
    let name = |part: &str| format!("{path}.{part}");
    let ints =
        |part: &str, shape: (usize, usize)| weights.of_dtypes(&name(part), shape, &[Dtype::I32]);
    let ((n, k), bits) = (sizes.dims, sizes.bits);
    let n_groups = k / sizes.group;
    let across = (n * bits).div_ceil(32);
    let (words, zeros) = match settings.layout {
        Layout::Gptq | Layout::GptqV2 => ((k * bits / 32, n), (n_groups, across)),
        Layout::Awq => ((k, across), (n_groups, across)),
        Layout::CompressedTensors => ((n, k * bits / 32), (across, n_groups)),
    };
    let words = ints(names.words, words)?;
    let zeros = match settings.is_symmetric {
        true => None,
        false => Some(ints(names.zeros, zeros)?),
    };
    let scales = settings.layout.of_scales(n, n_groups);
    let scales = weights.scales(path, names.scales, scales, &FLOATS)?;
    let groups = match weights.has(&name(names.groups)) {
        true => Some(weights.of_dtypes(&name(names.groups), k, &[Dtype::I32])?),
        false => None,
    };
    weights.pack(path, [words, scales], |[words, scales]| {
        let parts = Parts {
            words,
            zeros,
            scales,
            groups,
        };
        Ok(ZeroPoint::new(settings.layout, sizes, &parts)?.into())
    })
}

/// Notes a shape beside a matrix that is another one.
fn check_shape(weights: &Weights<'_>, name: &str, (n, k): (usize, usize)) -> Result<()> {
    if !weights.has(name) {
        return Ok(());
    }
    let bytes = weights.bytes(name, TensorShape::Is(&[2]), &[Dtype::I64])?;
    let bytes = bytes.to_dtype(DType::U8)?.to_vec1::<u8>()?;
    let (numbers, _) = bytes.as_chunks();
    let got: Vec<i64> = numbers
        .iter()
        .map(|number| i64::from_le_bytes(*number))
        .collect();
    if !got.is_empty() && got != [n as i64, k as i64] {
        weights.problem(format!("{name}: expected [{n}, {k}], got {got:?}"));
    }
    Ok(())
}
