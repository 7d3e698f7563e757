//! Rows of one layer behind those of another, and of one expert behind those of another.

use super::{Stored, of_mlx};
use crate::experts::{self, MOST_EXPERTS};
use safetensors::tensor::TensorInfo;

/// Tensors of single experts that the tensor `name` holds, with their places in its file; none where it holds no experts.
pub(super) fn parts(name: &str, info: &TensorInfo) -> Vec<(String, Stored)> {
    let Some((mixture, layers, end)) = layers(name) else {
        return vec![];
    };
    let (Some((&n_experts, shape)), (start, stop)) = (info.shape.split_first(), info.data_offsets)
    else {
        return vec![];
    };
    let n_parts = n_experts.saturating_mul(layers.len());
    let are_parts = (1..=MOST_EXPERTS).contains(&n_experts)
        && shape.len() >= 2
        && shape[0].is_multiple_of(layers.len())
        && (stop - start).is_multiple_of(n_parts);
    if !are_parts {
        return vec![];
    }
    let bytes = (stop - start) / n_parts;
    let shape = [&[shape[0] / layers.len()], &shape[1..]].concat();
    let part = |i: usize| {
        let (expert, layer) = (i / layers.len(), layers[i % layers.len()]);
        let info = TensorInfo {
            dtype: info.dtype,
            shape: shape.clone(),
            data_offsets: (start + i * bytes, start + (i + 1) * bytes),
        };
        let path = experts::path(mixture, expert, layer);
        (format!("{path}.{end}"), info.into())
    };
    (0..n_parts).map(part).collect()
}

/// Path of a mixture, its layers that a tensor holds, and the end of their tensors' names.
fn layers(name: &str) -> Option<(&str, Vec<&str>, &str)> {
    if let Some(mixture) = name.strip_suffix(".experts.gate_up_proj") {
        return Some((mixture, vec!["gate_proj", "up_proj"], "weight"));
    }
    if let Some(mixture) = name.strip_suffix(".experts.down_proj") {
        return Some((mixture, vec!["down_proj"], "weight"));
    }
    of_mlx(name).map(|(mixture, layer, end)| (mixture, vec![layer], end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::Dtype;

    fn info(shape: &[usize]) -> TensorInfo {
        TensorInfo {
            dtype: Dtype::U8,
            shape: shape.to_vec(),
            data_offsets: (100, 100 + shape.iter().product::<usize>()),
        }
    }

    fn told(name: &str, shape: &[usize]) -> Vec<(String, Vec<usize>, (usize, usize))> {
        let parts = parts(name, &info(shape)).into_iter();
        parts
            .map(|(name, stored)| (name, stored.info.shape, stored.info.data_offsets))
            .collect()
    }

    #[test]
    fn a_stack_is_cut_into_experts() {
        let one = |name: &str, shape: [usize; 2], at| (name.to_string(), shape.to_vec(), at);
        assert_eq!(
            told("m.mlp.switch_mlp.up_proj.scales", &[2, 3, 5]),
            [
                one("m.mlp.experts.0.up_proj.scales", [3, 5], (100, 115)),
                one("m.mlp.experts.1.up_proj.scales", [3, 5], (115, 130)),
            ]
        );
        assert_eq!(
            told("m.mlp.experts.gate_up_proj", &[2, 4, 5]),
            [
                one("m.mlp.experts.0.gate_proj.weight", [2, 5], (100, 110)),
                one("m.mlp.experts.0.up_proj.weight", [2, 5], (110, 120)),
                one("m.mlp.experts.1.gate_proj.weight", [2, 5], (120, 130)),
                one("m.mlp.experts.1.up_proj.weight", [2, 5], (130, 140)),
            ]
        );
        let name = "m.block_sparse_moe.switch_mlp.down_proj.weight";
        assert_eq!(
            told(name, &[1, 1, 2])[0].0,
            "m.block_sparse_moe.experts.0.w2.weight"
        );
    }

    #[test]
    fn what_is_no_stack_is_left() {
        for (name, shape) in [
            ("m.mlp.experts.3.down_proj.weight", &[4, 4, 4][..]),
            ("m.mlp.experts.gate_up_proj", &[2, 3, 5]),
            ("m.mlp.experts.gate_up_proj", &[2, 4]),
            ("m.mlp.experts.down_proj", &[5000, 2, 2]),
            ("m.mlp.experts.down_proj", &[0, 2, 2]),
            ("m.mlp.experts.down_proj", &[]),
        ] {
            assert_eq!(told(name, shape), [], "{name} {shape:?}");
        }
    }
}
