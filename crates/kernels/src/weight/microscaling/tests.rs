//! Against `tests/golden/microscaling.safetensors`, which MLX wrote (`scripts/golden/make_mlx.py`).

use super::{Kind, Microscaled, Packed};
use crate::weight::testing::{assert_blocks_are_dense, assert_same, golden};
use candle_core::{DType, Device, Tensor};

const GOLDEN: &str = "microscaling.safetensors";

fn parts(kind: Kind) -> [Tensor; 2] {
    let tensors = golden(GOLDEN);
    ["words", "scales"].map(|name| tensors[&format!("{}.{name}", kind.name())].clone())
}

#[test]
fn what_mlx_packed_is_dense_as_mlx_says_to_the_bit() {
    let tensors = golden(GOLDEN);
    for kind in Kind::ALL {
        let packed = Microscaled::new(kind, parts(kind)).unwrap();
        assert_eq!(packed.dims(), (4, 256));
        let want = &tensors[&format!("{}.dense", kind.name())];
        assert_same(&packed.dense().unwrap(), want, kind.name());
    }
}

#[test]
fn quantizes_as_mlx_does_to_the_bit() {
    let matrix = golden("affine.safetensors")["matrix"].clone();
    for kind in Kind::ALL {
        let packed = Microscaled::quantize(&matrix, kind).unwrap();
        let [words, scales] = parts(kind);
        let bytes = |t: &Tensor| t.to_vec2::<u8>().unwrap();
        assert_eq!(bytes(&packed.scales), bytes(&scales), "{kind:?}");
        let of = |t: &Tensor| t.to_vec2::<u32>().unwrap();
        assert_eq!(of(&packed.words), of(&words), "{kind:?}");
    }
    let infinite = Tensor::full(f32::INFINITY, (1, 32), &Device::Cpu).unwrap();
    let error = Microscaled::quantize(&infinite, Kind::Nvfp4).unwrap_err();
    assert_eq!(
        error.to_string(),
        "quantize: number must be finite, got inf"
    );
}

/// What the matrix stands for is packed as it was, and other numbers no further from them than afresh.
#[test]
fn packs_again_with_its_own_scales_or_nearer_ones() {
    let error = |packed: &dyn Packed, wanted: &Tensor| {
        let error = (packed.dense().unwrap() - wanted).unwrap().sqr().unwrap();
        error.sum_all().unwrap().to_scalar::<f32>().unwrap()
    };
    for kind in Kind::ALL {
        let packed = Microscaled::new(kind, parts(kind)).unwrap();
        let again = |dense: &Tensor| packed.pack(dense).unwrap().unwrap().dense().unwrap();
        let dense = packed.dense().unwrap();
        assert_same(
            &(again(&dense) + 0.0).unwrap(),
            &(&dense + 0.0).unwrap(),
            kind.name(),
        );
        let moved = dense.affine(0.9, 0.01).unwrap();
        let got = (again(&moved) - &moved).unwrap().sqr().unwrap();
        let got: f32 = got.sum_all().unwrap().to_scalar().unwrap();
        let fresh = error(&Microscaled::quantize(&moved, kind).unwrap(), &moved);
        assert!(
            got <= fresh * 1.000_1 && got < error(&packed, &moved),
            "{kind:?}: {got} {fresh}"
        );
    }
}

/// Every code of every kind under every scale.
#[test]
fn blocks_are_the_dense_matrix_to_the_bit() {
    for kind in Kind::ALL {
        assert_blocks_are_dense(&Microscaled::new(kind, parts(kind)).unwrap());
        let (n, n_groups) = (254, 256 / kind.group());
        let byte = |row: usize, i: usize| match (kind, (i + row) as u32 % 256) {
            // NaN, of both signs.
            (Kind::Mxfp8, 0x7f | 0xff) => 0,
            (_, byte) => byte,
        };
        let words = (0..n).flat_map(|row| {
            (0..8 * kind.bits())
                .map(move |word| (0..4).fold(0, |all, i| all | byte(row, 4 * word + i) << (8 * i)))
        });
        let words = Tensor::from_vec(
            words.collect::<Vec<u32>>(),
            (n, 8 * kind.bits()),
            &Device::Cpu,
        );
        let scales = (0..n).flat_map(|row| (0..n_groups).map(move |_| row as u8 % 127));
        let scales = Tensor::from_vec(scales.collect::<Vec<u8>>(), (n, n_groups), &Device::Cpu);
        let parts = [words.unwrap(), scales.unwrap()];
        assert_blocks_are_dense(&Microscaled::new(kind, parts).unwrap());
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |kind, parts| Microscaled::new(kind, parts).unwrap_err().to_string();
    assert_eq!(
        refused(Kind::Mxfp8, parts(Kind::Mxfp4)),
        "mxfp8: words must have shape (4, 64), got [4, 32]"
    );
    let [words, scales] = parts(Kind::Nvfp4);
    let floats = scales.to_dtype(DType::F32).unwrap();
    assert!(refused(Kind::Nvfp4, [words.clone(), floats]).contains("F32"));
    let nan = (scales.ones_like().unwrap() * 255.0).unwrap();
    assert_eq!(
        refused(Kind::Nvfp4, [words, nan.clone()]),
        "nvfp4: a scale must be a number, got NaN (the byte 0xff)"
    );
    let [words, scales] = parts(Kind::Mxfp8);
    assert!(
        refused(Kind::Mxfp8, [words.clone(), nan.narrow(1, 0, 8).unwrap()]).contains("a scale")
    );
    let nan = words.ones_like().unwrap().affine(127.0, 0.0).unwrap();
    assert_eq!(
        refused(Kind::Mxfp8, [nan, scales]),
        "mxfp8: an element must be a number, got NaN (the byte 0x7f)"
    );
}
