//! Against `tests/golden/gguf.safetensors`, which gguf-py wrote (`scripts/golden/make_gguf.py`).

use super::{BlockType, Gguf, Packed};
use crate::Weight;
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

fn golden() -> HashMap<String, Tensor> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = here.ancestors();
    let root = above.find(|folder| folder.join("crates/kernels").exists());
    let file = root
        .unwrap()
        .join("crates/kernels/tests/golden/gguf.safetensors");
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let numbers = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    numbers.into_iter().map(f32::to_bits).collect()
}

/// Blocks of random bytes, of `(4, 512)` numbers.
fn packed(tensors: &HashMap<String, Tensor>, block: BlockType) -> Gguf {
    let name = format!("{}.bytes", block.name());
    Gguf::new(tensors[&name].clone(), block).unwrap()
}

#[test]
fn blocks_are_dense_as_gguf_py_says_to_the_bit() {
    let tensors = golden();
    for block in BlockType::all() {
        let packed = packed(&tensors, block);
        assert_eq!(packed.dims(), (4, 512), "{block:?}");
        let want = &tensors[&format!("{}.dense", block.name())];
        assert_eq!(bits(&packed.dense().unwrap()), bits(want), "{block:?}");
    }
}

#[test]
fn runs_are_the_reference_to_the_bit() {
    let tensors = golden();
    for block in BlockType::all() {
        let packed = packed(&tensors, block);
        let dense = packed.dense().unwrap();
        for columns in [0..512, 0..1, 7..9, 31..33, 13..240, 256..288, 250..512] {
            let mut got = vec![f32::NAN; 2 * columns.len()];
            let blocks = packed.on_host().unwrap();
            blocks.read(1..3, columns.clone(), &mut got);
            let want = dense.narrow(0, 1, 2).unwrap();
            let want = want.narrow(1, columns.start, columns.len()).unwrap();
            let got: Vec<u32> = got.into_iter().map(f32::to_bits).collect();
            assert_eq!(got, bits(&want), "{block:?} {columns:?}");
        }
    }
}

#[test]
fn quantizes_as_gguf_py_does_to_the_bit() {
    let tensors = golden();
    let matrix = &tensors["matrix"];
    let mut n_types = 0;
    for block in BlockType::all() {
        let Some(want) = tensors.get(&format!("{}.quantized", block.name())) else {
            continue;
        };
        let got = Gguf::quantize(matrix, block).unwrap();
        let bytes = |t: &Tensor| t.to_vec2::<u8>().unwrap();
        assert_eq!(bytes(got.as_bytes()), bytes(want), "{block:?}");
        n_types += 1;
    }
    assert_eq!(n_types, 5);
}

/// What is left of a matrix of random numbers after a type's rounding, as a share of them: half of a step of 2 bits is
/// that of 6 bits 16 times.
#[test]
fn types_that_gguf_py_does_not_make_are_as_close_as_their_bits_allow() {
    let matrix = Tensor::randn(0f32, 1.0, (37, 512), &Device::Cpu).unwrap();
    let rms = |t: &Tensor| t.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>();
    for (block, most) in [
        (BlockType::Q2_K, 0.35),
        (BlockType::Q3_K, 0.18),
        (BlockType::Q4_K, 0.08),
        (BlockType::Q5_K, 0.04),
        (BlockType::Q6_K, 0.02),
    ] {
        let dense = Gguf::quantize(&matrix, block).unwrap().dense().unwrap();
        let rest = rms(&(dense - &matrix).unwrap()).unwrap() / rms(&matrix).unwrap();
        assert!(rest.sqrt() < most, "{block:?}: {}", rest.sqrt());
        assert!(rest.sqrt() > most / 4.0, "{block:?}: {}", rest.sqrt());
    }
    let error = Gguf::quantize(&matrix, BlockType::IQ4_NL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "quantize: type must be any type but IQ4_NL, got IQ4_NL"
    );
}

#[test]
fn products_are_those_of_the_dense_matrix() {
    let tensors = golden();
    for rows in [1, 3, 50] {
        let x = Tensor::randn(0f32, 1.0, (rows, 512), &Device::Cpu).unwrap();
        for block in BlockType::all() {
            // Random bytes may stand for numbers of any size.
            let packed = match Gguf::quantize(&tensors["matrix"], block) {
                Ok(packed) => packed,
                Err(_) => packed(&tensors, block),
            };
            let dense = packed.dense().unwrap();
            let want = x.to_dtype(DType::F64).unwrap();
            let want = want
                .matmul(&dense.to_dtype(DType::F64).unwrap().t().unwrap())
                .unwrap();
            let got = crate::linear(&x, &Weight::from(packed), None).unwrap();
            let scale = want.abs().unwrap().max_all().unwrap();
            let difference = (got.to_dtype(DType::F64).unwrap() - want).unwrap();
            let difference = difference.abs().unwrap().max_all().unwrap();
            let (difference, scale): (f64, f64) =
                (difference.to_scalar().unwrap(), scale.to_scalar().unwrap());
            assert!(difference < 1e-5 * scale, "{block:?}: {difference} {scale}");
        }
    }
}

#[test]
fn bytes_that_do_not_fit_are_refused() {
    let refused = |bytes: Tensor| Gguf::new(bytes, BlockType::Q4_K).unwrap_err().to_string();
    let bytes = |width| Tensor::zeros((2, width), DType::U8, &Device::Cpu).unwrap();
    assert_eq!(
        refused(bytes(145)),
        "gguf: bytes must have shape (N, multiple of 144), got [2, 145]"
    );
    let wide = bytes(144).to_dtype(DType::U32).unwrap();
    assert_eq!(
        refused(wide),
        "gguf: dtype must be one of [U8] for bytes, got U32"
    );
    let infinite = Tensor::full(f32::INFINITY, (1, 32), &Device::Cpu).unwrap();
    assert_eq!(
        Gguf::quantize(&infinite, BlockType::Q8_0)
            .unwrap_err()
            .to_string(),
        "quantize: number must be finite, got inf"
    );
}

#[test]
fn blocks_stay_where_they_are_nearer_than_fresh_ones() {
    let matrix = golden()["matrix"].to_dtype(DType::F32).unwrap();
    let bytes = |packed: &Gguf| packed.bytes.to_vec2::<u8>().unwrap();
    for block in BlockType::all().filter(|block| *block != BlockType::IQ4_NL) {
        let packed = Gguf::quantize(&matrix, block).unwrap();
        let again = |dense: &Tensor| packed.pack(dense).unwrap().unwrap();
        let unmoved = again(&packed.dense().unwrap());
        assert_eq!(
            bytes(unmoved.as_gguf().unwrap()),
            bytes(&packed),
            "{block:?}"
        );
        let moved = (&matrix * 1.5).unwrap();
        let square = |weight: &Tensor| {
            let error = (weight - &moved).unwrap().sqr().unwrap();
            error.sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        let (got, fresh) = (
            square(&again(&moved).dense().unwrap()),
            square(&Gguf::quantize(&moved, block).unwrap().dense().unwrap()),
        );
        assert!(got <= fresh * 1.000_001, "{block:?}: {got} {fresh}");
        assert!(fresh < square(&packed.dense().unwrap()), "{block:?}");
    }
}
