//! Against `tests/golden/affine.safetensors`, which MLX wrote (`scripts/golden/make_mlx.py`).

use super::{Affine, BITS, GROUPS, Packed};
use crate::weight::Weight;
use crate::weight::testing::{assert_blocks_are_dense, golden};
use candle_core::{DType, Device, Tensor};

const GOLDEN: &str = "affine.safetensors";

/// Calls `f` with every packing and the tensors of the file by their last name.
fn each(f: impl Fn(usize, usize, &dyn Fn(&str) -> Tensor)) {
    let tensors = golden(GOLDEN);
    for bits in BITS {
        for group in GROUPS {
            f(bits, group, &|name| {
                tensors[&format!("{bits}.{group}.{name}")].clone()
            });
        }
    }
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap();
    difference.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn what_mlx_packed_is_dense_as_mlx_says() {
    each(|bits, group, tensor| {
        let parts = ["words", "scales", "biases"].map(tensor);
        let packed = Affine::new(parts, bits, group).unwrap();
        assert_eq!(packed.dims(), (4, 256));
        let difference = largest_difference(&packed.dense().unwrap(), &tensor("dense"));
        // MLX rounds the product and the sum as one.
        assert!(difference < 3e-7, "{bits} {group}: {difference}");
    });
}

#[test]
fn quantizes_as_mlx_does() {
    let matrix = golden(GOLDEN)["matrix"].clone();
    each(|bits, group, tensor| {
        let packed = Affine::quantize(&matrix, bits, group).unwrap();
        let words = |t: &Tensor| t.to_vec2::<u32>().unwrap();
        let (ours, theirs) = (words(&packed.words), words(&tensor("words")));
        assert_eq!(ours, theirs, "{bits} {group}");
        assert_eq!(largest_difference(&packed.scales, &tensor("scales")), 0.0);
        assert_eq!(largest_difference(&packed.biases, &tensor("biases")), 0.0);
    });
}

#[test]
fn blocks_are_the_dense_matrix_to_the_bit() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let matrix = golden(GOLDEN)["matrix"].to_dtype(dtype).unwrap();
        for bits in BITS {
            assert_blocks_are_dense(&Affine::quantize(&matrix, bits, 64).unwrap());
        }
    }
}

/// A part of a larger tensor is contiguous, but does not begin where its memory does.
#[test]
fn tensors_may_begin_behind_others() {
    let tensors = golden(GOLDEN);
    let parts = ["words", "scales", "biases"].map(|name| {
        let tensor = &tensors[&format!("4.32.{name}")];
        tensor.narrow(0, 1, 2).unwrap()
    });
    assert_blocks_are_dense(&Affine::new(parts, 4, 32).unwrap());
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let tensors = golden(GOLDEN);
    let parts =
        || ["words", "scales", "biases"].map(|name| tensors[&format!("4.32.{name}")].clone());
    let refused = |parts, bits, group| Affine::new(parts, bits, group).unwrap_err().to_string();
    assert_eq!(
        refused(parts(), 7, 32),
        "affine: bits must be one of [2, 3, 4, 5, 6, 8], got 7"
    );
    assert_eq!(
        refused(parts(), 4, 16),
        "affine: group must be one of [32, 64, 128], got 16"
    );
    assert_eq!(
        refused(parts(), 8, 32),
        "affine: words must have shape (4, 64), got [4, 32]"
    );
    let [words, scales, biases] = parts();
    let narrow = biases.narrow(1, 0, 7).unwrap();
    assert_eq!(
        refused([words.clone(), scales.clone(), narrow], 4, 32),
        "affine: biases must have shape (4, 8), got [4, 7]"
    );
    let ints = biases.to_dtype(DType::U32).unwrap();
    assert!(refused([words, scales, ints], 4, 32).contains("U32"));
    let infinite = Tensor::full(f32::INFINITY, (1, 32), &Device::Cpu).unwrap();
    assert_eq!(
        Affine::quantize(&infinite, 4, 32).unwrap_err().to_string(),
        "quantize: number must be finite, got inf"
    );
}

/// In place of a matrix that is packed, in every dtype of scales: the same numbers are packed as they were, and others no
/// further from them than the fresh grid, or the old numbers, are.
#[test]
fn packs_again_in_its_own_grid_or_a_nearer_one() {
    let matrix = golden(GOLDEN)["matrix"].to_dtype(DType::F32).unwrap();
    let error = |packed: &dyn Packed, wanted: &Tensor| {
        let error = (packed.dense().unwrap() - wanted).unwrap().sqr().unwrap();
        error.sum_all().unwrap().to_scalar::<f32>().unwrap()
    };
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let of =
            |matrix: &Tensor| Affine::quantize(&matrix.to_dtype(dtype).unwrap(), 4, 32).unwrap();
        let packed = of(&matrix);
        let again = packed.pack(&packed.dense().unwrap()).unwrap().unwrap();
        let difference = largest_difference(&packed.dense().unwrap(), &again.dense().unwrap());
        assert_eq!(difference, 0.0, "{dtype:?}");
        let moved = (matrix.affine(0.9, 0.01)).unwrap();
        let Weight::Packed(again) = packed.pack(&moved).unwrap().unwrap() else {
            panic!("not packed");
        };
        assert_eq!(again.dtype(), dtype);
        let (got, old) = (error(again.as_ref(), &moved), error(&packed, &moved));
        let fresh = error(&of(&moved), &moved);
        assert!(
            got < old && got <= fresh * 1.02,
            "{dtype:?}: {got} {old} {fresh}"
        );
    }
}
