//! Against `tests/golden/fp8.safetensors`, which torch wrote (`scripts/golden/packed_matrices.py`).

use super::{Fp8, Packed};
use crate::weight::testing::{assert_blocks_are_dense, assert_same, golden};
use candle_core::{DType, Tensor};

/// Cases of the file: rows and columns of a block, of a matrix (35, 100).
const CASES: [(&str, (usize, usize)); 3] = [
    ("block", (16, 32)),
    ("tensor", (35, 100)),
    ("row", (1, 100)),
];

fn parts(name: &str) -> [Tensor; 2] {
    let tensors = golden("fp8.safetensors");
    ["weight", "scales"].map(|part| tensors[&format!("{name}.{part}")].clone())
}

#[test]
fn what_torch_packed_is_dense_as_torch_says_to_the_bit() {
    for (name, block) in CASES {
        let packed = Fp8::new(parts(name), block).unwrap();
        let want = &golden("fp8.safetensors")[&format!("{name}.dense")];
        assert_same(&packed.dense().unwrap(), want, name);
        assert_blocks_are_dense(&packed);
    }
}

#[test]
fn kinds_tell_the_blocks() {
    let kinds = CASES.map(|(name, block)| Fp8::new(parts(name), block).unwrap().kind());
    let want = [
        "fp8 (e4m3), blocks of 16 x 32",
        "fp8 (e4m3)",
        "fp8 (e4m3) by rows",
    ];
    assert_eq!(kinds, want);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |parts, block| Fp8::new(parts, block).unwrap_err().to_string();
    assert_eq!(
        refused(parts("block"), (16, 64)),
        "fp8: scales must have shape (3, 2), got [3, 4]"
    );
    assert!(refused(parts("block"), (0, 64)).contains("block must be of one number at least"));
    let [bytes, scales] = parts("block");
    let half = scales.to_dtype(DType::F16).unwrap();
    assert!(refused([bytes.clone(), half], (16, 32)).contains("F16"));
    let nan = bytes.ones_like().unwrap().affine(255.0, 0.0).unwrap();
    assert_eq!(
        refused([nan, scales], (16, 32)),
        "fp8: an element must be a number, got NaN (the byte 0xff)"
    );
}
