//! Against `tests/golden/bitsandbytes.safetensors`, which bitsandbytes wrote
//! (`scripts/golden/packed_matrices.py`).

use super::{BnbInt8, Packed};
use crate::weight::testing::{assert_blocks_are_dense, assert_same, golden};
use candle_core::{DType, Tensor};

fn parts() -> [Tensor; 2] {
    let tensors = golden("bitsandbytes.safetensors");
    ["weight", "SCB"].map(|part| tensors[&format!("int8.{part}")].clone())
}

#[test]
fn what_bitsandbytes_packed_is_dense_as_it_says_to_the_bit() {
    let packed = BnbInt8::new(parts()).unwrap();
    let want = &golden("bitsandbytes.safetensors")["int8.dense"];
    assert_same(&packed.dense().unwrap(), want, "int8");
    assert_blocks_are_dense(&packed);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |parts| BnbInt8::new(parts).unwrap_err().to_string();
    let [bytes, scb] = parts();
    assert_eq!(
        refused([bytes.clone(), scb.narrow(0, 0, 7).unwrap()]),
        "bnb_int8: SCB must have shape (37), of any dimensions, got [7]"
    );
    let wide = bytes.to_dtype(DType::U32).unwrap();
    assert!(refused([wide, scb]).contains("U32"));
}
