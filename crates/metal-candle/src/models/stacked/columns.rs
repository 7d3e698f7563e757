//! Experts of gpt-oss, whose gate and upper projection alternate. `D` is the hidden size, `I` the width inside:
//!
//! ```text
//! mlp.experts.gate_up_proj         (E, D, 2I)        columns: gate, up, gate, ...
//! mlp.experts.gate_up_proj_bias    (E, 2I)
//! mlp.experts.down_proj            (E, I, D)
//! mlp.experts.down_proj_bias       (E, D)
//! mlp.experts.gate_up_proj_blocks  (E, 2I, D/32, 16) rows: gate, up, gate, ...; two numbers of mxfp4 a byte, the low half first
//! mlp.experts.gate_up_proj_scales  (E, 2I, D/32)
//! mlp.experts.down_proj_blocks     (E, D, I/32, 16)
//! mlp.experts.down_proj_scales     (E, D, I/32)
//! mlp.experts.up_proj.weight       (E, I, D)         as mlx-lm has them: of one layer, scales and biases alike
//! ```

use super::{Picks, Stored, of_mlx};
use crate::experts::{self, MOST_EXPERTS};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

/// Order of what a tensor has of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Matrices that lie across.
    Across,
    /// Rows, or numbers of a bias.
    Rows,
    /// Rows of blocks of 16 bytes, which are four words of 32 bits.
    Blocks,
}

/// Layers that a tensor has, the end of the names of theirs, and the order.
struct Stack<'a> {
    mixture: &'a str,
    layers: &'a [&'a str],
    end: &'a str,
    order: Order,
}

/// Bytes of a block.
const BLOCK_BYTES: usize = 16;

/// Ends of names behind that of a layer or two.
const ENDS: [(&str, &str, Order); 4] = [
    ("", "weight", Order::Across),
    ("_bias", "bias", Order::Rows),
    ("_blocks", "weight", Order::Blocks),
    ("_scales", "scales", Order::Rows),
];

const GATE_UP: (&str, &[&str]) = ("gate_up_proj", &["gate_proj", "up_proj"]);
const DOWN: (&str, &[&str]) = ("down_proj", &["down_proj"]);

/// Tensors of single experts that the tensor `name` holds, with their places in its file; none where it holds no experts.
pub(super) fn parts(name: &str, info: &TensorInfo) -> Vec<(String, Stored)> {
    if let Some((mixture, layer, end)) = of_mlx(name) {
        let (layers, order) = (&[layer][..], Order::Rows);
        return of_stack(
            &Stack {
                mixture,
                layers,
                end,
                order,
            },
            info,
        );
    }
    let Some((mixture, rest)) = name.split_once(".experts.") else {
        return vec![];
    };
    let named = [GATE_UP, DOWN].into_iter().find_map(|(name, layers)| {
        let rest = rest.strip_prefix(name)?;
        let (_, end, order) = ENDS.into_iter().find(|(known, ..)| *known == rest)?;
        Some(Stack {
            mixture,
            layers,
            end,
            order,
        })
    });
    named.map_or(vec![], |stack| of_stack(&stack, info))
}

fn of_stack(stack: &Stack<'_>, info: &TensorInfo) -> Vec<(String, Stored)> {
    let Some((&n_experts, shape)) = info.shape.split_first() else {
        return vec![];
    };
    let n_layers = stack.layers.len();
    let (start, stop) = info.data_offsets;
    let one = one(stack.order, info.dtype, shape).filter(|(_, [rows, _], _)| rows % n_layers == 0);
    let (1..=MOST_EXPERTS, Some((dtype, [rows, columns], order))) = (n_experts, one) else {
        return vec![];
    };
    let bytes = (stop - start) / n_experts;
    let part = |i: usize| {
        let (expert, layer) = (i / n_layers, i % n_layers);
        let at = start + expert * bytes;
        let shape = match stack.end {
            "bias" => vec![rows / n_layers],
            _ => vec![rows / n_layers, columns],
        };
        let data_offsets = (at, at + bytes);
        let info = TensorInfo {
            dtype,
            shape,
            data_offsets,
        };
        let [row, column] = order;
        let (first, row) = (layer * row, n_layers * row);
        let is_whole = n_layers == 1 && column == 1;
        let picks = (!is_whole).then_some(Picks { first, row, column });
        let path = experts::path(stack.mixture, expert, stack.layers[layer]);
        (format!("{path}.{}", stack.end), Stored { info, picks })
    };
    (0..n_experts * n_layers).map(part).collect()
}

/// Dtype, rows and columns of what one expert has, and the distances of rows and of columns; `None` where there is no such
/// shape.
fn one(order: Order, dtype: Dtype, shape: &[usize]) -> Option<(Dtype, [usize; 2], [usize; 2])> {
    match (order, shape) {
        (Order::Across, &[columns, rows]) => Some((dtype, [rows, columns], [1, rows])),
        (Order::Rows, &[rows]) => Some((dtype, [rows, 1], [1, 1])),
        (Order::Rows, &[rows, columns]) => Some((dtype, [rows, columns], [columns, 1])),
        (Order::Blocks, &[rows, blocks, BLOCK_BYTES]) if dtype == Dtype::U8 => {
            let words = blocks.checked_mul(BLOCK_BYTES / 4)?;
            Some((Dtype::U32, [rows, words], [words, 1]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(dtype: Dtype, shape: &[usize]) -> TensorInfo {
        let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        TensorInfo {
            dtype,
            shape: shape.to_vec(),
            data_offsets: (100, 100 + bytes),
        }
    }

    /// Numbers of the part `wanted` of a tensor whose numbers are 0, 1, 2 and so on.
    fn numbers(name: &str, shape: &[usize], wanted: &str) -> (Vec<usize>, Vec<usize>) {
        let info = info(Dtype::U8, shape);
        let parts = parts(name, &info);
        let (_, stored) = parts.iter().find(|(name, _)| name == wanted).unwrap();
        let (start, stop) = stored.info.data_offsets;
        let range: Vec<usize> = (start - 100..stop - 100).collect();
        let shape = stored.info.shape.clone();
        match stored.picks {
            Some(picks) => (picks.of(&range, &shape), shape),
            None => (range, shape),
        }
    }

    #[test]
    fn columns_of_gate_and_up_alternate() {
        let of = |layer: &str| numbers("m.mlp.experts.gate_up_proj", &[2, 3, 4], layer);
        // The second expert begins at 12; its row of the input's first number is 12, 13, 14, 15.
        assert_eq!(
            of("m.mlp.experts.1.gate_proj.weight"),
            (vec![12, 16, 20, 14, 18, 22], vec![2, 3])
        );
        assert_eq!(
            of("m.mlp.experts.0.up_proj.weight"),
            (vec![1, 5, 9, 3, 7, 11], vec![2, 3])
        );
        let down = numbers(
            "m.mlp.experts.down_proj",
            &[2, 2, 3],
            "m.mlp.experts.1.down_proj.weight",
        );
        assert_eq!(down, (vec![6, 9, 7, 10, 8, 11], vec![3, 2]));
    }

    #[test]
    fn numbers_of_biases_alternate() {
        let of = |layer: &str| numbers("m.mlp.experts.gate_up_proj_bias", &[2, 4], layer);
        assert_eq!(of("m.mlp.experts.1.gate_proj.bias"), (vec![4, 6], vec![2]));
        assert_eq!(of("m.mlp.experts.1.up_proj.bias"), (vec![5, 7], vec![2]));
        let down = numbers(
            "m.mlp.experts.down_proj_bias",
            &[2, 3],
            "m.mlp.experts.1.down_proj.bias",
        );
        assert_eq!(down, (vec![3, 4, 5], vec![3]));
    }

    #[test]
    fn rows_of_scales_alternate_and_blocks_are_words() {
        let of = |layer: &str| numbers("m.mlp.experts.gate_up_proj_scales", &[2, 4, 2], layer);
        assert_eq!(
            of("m.mlp.experts.0.gate_proj.scales"),
            (vec![0, 1, 4, 5], vec![2, 2])
        );
        assert_eq!(
            of("m.mlp.experts.1.up_proj.scales"),
            (vec![10, 11, 14, 15], vec![2, 2])
        );
        let blocks = parts(
            "m.mlp.experts.gate_up_proj_blocks",
            &info(Dtype::U8, &[1, 4, 1, 16]),
        );
        let [(gate, _), (up, stored)] = &blocks[..] else {
            panic!("{blocks:?}");
        };
        assert_eq!(
            [gate, up],
            [
                "m.mlp.experts.0.gate_proj.weight",
                "m.mlp.experts.0.up_proj.weight"
            ]
        );
        assert_eq!(
            (stored.info.dtype, &stored.info.shape[..]),
            (Dtype::U32, &[2, 4][..])
        );
        let words: Vec<usize> = (0..16).collect();
        assert_eq!(
            stored.picks.unwrap().of(&words, &[2, 4]),
            [4, 5, 6, 7, 12, 13, 14, 15]
        );
    }

    #[test]
    fn what_is_no_stack_is_left() {
        for (name, shape) in [
            ("m.mlp.experts.3.down_proj.weight", &[4, 4, 4][..]),
            ("m.mlp.experts.gate_up_proj", &[2, 4, 3]),
            ("m.mlp.experts.gate_up_proj", &[2, 4]),
            ("m.mlp.experts.gate_up_proj_bias", &[2, 3]),
            ("m.mlp.experts.gate_up_proj_blocks", &[2, 4, 1, 8]),
            ("m.mlp.experts.down_proj", &[5000, 2, 2]),
            ("m.mlp.experts.down_proj", &[0, 2, 2]),
            ("m.mlp.experts.down_proj", &[]),
            ("m.mlp.experts.other", &[2, 2, 2]),
        ] {
            assert!(
                parts(name, &info(Dtype::U8, shape)).is_empty(),
                "{name} {shape:?}"
            );
        }
        let floats = info(Dtype::F32, &[1, 2, 1, 16]);
        assert!(parts("m.mlp.experts.down_proj_blocks", &floats).is_empty());
    }
}
