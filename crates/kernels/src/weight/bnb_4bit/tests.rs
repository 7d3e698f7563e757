//! Against `tests/golden/bitsandbytes.safetensors`, which bitsandbytes wrote
//! (`scripts/golden/packed_matrices.py`).

use super::{Bnb4bit, Kind, Nested, Packed, Parts};
use crate::weight::testing::{assert_blocks_are_dense, assert_same, golden};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;

const GOLDEN: &str = "bitsandbytes.safetensors";

/// Name, kind, sizes, block, and whether magnitudes are nested.
type Case = (&'static str, Kind, (usize, usize), usize, bool);

/// Cases of the file. Blocks run
/// across rows, and the last is short.
const CASES: [Case; 4] = [
    ("nf4", Kind::Nf4, (37, 90), 64, false),
    ("nf4.nested", Kind::Nf4, (130, 130), 64, true),
    ("nf4.128", Kind::Nf4, (37, 90), 128, false),
    ("fp4", Kind::Fp4, (37, 90), 64, false),
];

fn parts(tensors: &HashMap<String, Tensor>, name: &str, is_nested: bool) -> Parts {
    let tensor = |part: &str| tensors[&format!("{name}.{part}")].clone();
    let nested = || Nested {
        absmax: tensor("nested_absmax"),
        quant_map: tensor("nested_quant_map"),
        block: 256,
        offset: tensor("nested_offset").to_scalar().unwrap(),
    };
    Parts {
        bytes: tensor("weight"),
        absmax: tensor("absmax"),
        quant_map: tensor("quant_map"),
        nested: is_nested.then(nested),
    }
}

#[test]
fn what_bitsandbytes_packed_is_dense_as_it_says_to_the_bit() {
    let tensors = golden(GOLDEN);
    for (name, kind, dims, block, is_nested) in CASES {
        let parts = parts(&tensors, name, is_nested);
        let packed = Bnb4bit::new(kind, dims, block, parts).unwrap();
        let mut want = tensors[&format!("{name}.dense")].clone();
        if kind == Kind::Fp4 {
            // Its kernel has a negative zero, which its table in the file has not.
            want = (want + 0.0).unwrap();
        }
        assert_same(&packed.dense().unwrap(), &want, name);
        assert_blocks_are_dense(&packed);
    }
}

#[test]
fn quantizes_as_bitsandbytes_does_to_the_bit() {
    let tensors = golden(GOLDEN);
    let quantized = |matrix: &Tensor| Bnb4bit::quantize(matrix).unwrap().parts;
    for (name, dtype) in [("nf4", DType::F32), ("nf4.whole.bf16", DType::BF16)] {
        let matrix = match dtype {
            DType::BF16 => &tensors["whole"],
            _ => &tensors["matrix"],
        };
        let (ours, theirs) = (
            quantized(&matrix.to_dtype(dtype).unwrap()),
            parts(&tensors, name, false),
        );
        let bytes = |parts: &Parts| parts.bytes.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        assert_eq!(bytes(&ours), bytes(&theirs), "{name}");
        let row = |t: &Tensor| t.reshape((1, ())).unwrap();
        assert_same(&row(&ours.absmax), &row(&theirs.absmax), name);
        assert_same(&row(&ours.quant_map), &row(&theirs.quant_map), name);
    }
}

/// Kernels on a GPU shift where others divide.
#[test]
fn kernels_read_blocks_that_are_powers_of_two() {
    let tensors = golden(GOLDEN);
    let has_msl = |block: usize| {
        let mut parts = parts(&tensors, "nf4", false);
        let blocks = (37 * 90_usize).div_ceil(block);
        parts.absmax = Tensor::ones(blocks, DType::F32, &Device::Cpu).unwrap();
        let packed = Bnb4bit::new(Kind::Nf4, (37, 90), block, parts).unwrap();
        assert_blocks_are_dense(&packed);
        packed.msl().is_some()
    };
    assert_eq!([4, 32, 64, 96].map(has_msl), [false, true, true, false]);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let tensors = golden(GOLDEN);
    let refused = |dims, block, change: &dyn Fn(&mut Parts)| {
        let mut parts = parts(&tensors, "nf4.nested", true);
        change(&mut parts);
        let packed = Bnb4bit::new(Kind::Nf4, dims, block, parts);
        packed.unwrap_err().to_string()
    };
    assert_eq!(
        refused((131, 130), 64, &|_| {}),
        "bnb_4bit: weight must have shape (8515), of any dimensions, got [8450, 1]"
    );
    assert!(refused((130, 130), 0, &|_| {}).contains("blocksize must be from 1 on, got 0"));
    assert!(refused((usize::MAX, 3), 64, &|_| {}).contains("shape must be of one number at least"));
    assert!(refused((130, 130), 32, &|_| {}).contains("absmax must have shape (529)"));
    let nested = |change: fn(&mut Nested)| {
        refused((130, 130), 64, &|parts| {
            parts.nested.iter_mut().for_each(change);
        })
    };
    assert!(nested(|nested| nested.block = 0).contains("nested_blocksize"));
    assert!(nested(|nested| nested.block = 1).contains("nested_absmax must have shape (265)"));
    assert!(nested(|nested| nested.offset = f32::NAN).contains("nested_offset must be finite"));
    assert!(refused((130, 130), 64, &|parts| parts.nested = None).contains("absmax must be F32"));
    let infinite = Tensor::full(f32::INFINITY, (1, 64), &Device::Cpu).unwrap();
    assert_eq!(
        Bnb4bit::quantize(&infinite).unwrap_err().to_string(),
        "quantize: number must be finite, got inf"
    );
}
