//! Parts that the tests of formats share.

use super::Packed;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// Tensors of a file that the owner of a format wrote, by the scripts in `scripts/golden`.
pub(crate) fn golden(file: &str) -> HashMap<String, Tensor> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = here.ancestors();
    let root = above.find(|folder| folder.join("crates/kernels").exists());
    let file = root.unwrap().join("crates/kernels/tests/golden").join(file);
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

/// Check that blocks of all sizes and places are the reference's numbers to the bit.
pub(super) fn assert_blocks_are_dense(packed: &dyn Packed) {
    let (n, k) = packed.dims();
    let dense = bits(&packed.dense().unwrap());
    let edges = [0, 1, 7, 9, 13, 32, 63, 65, 128, 192, k.saturating_sub(1), k];
    let edges: Vec<usize> = edges.into_iter().filter(|edge| *edge <= k).collect();
    for rows in [0..n, n / 2..n, n - 1..n] {
        for (&start, &end) in edges
            .iter()
            .flat_map(|start| edges.iter().map(move |end| (start, end)))
        {
            if start >= end {
                continue;
            }
            let mut to = vec![f32::NAN; rows.len() * (end - start)];
            let blocks = packed.on_host().unwrap();
            blocks.read(rows.clone(), start..end, &mut to);
            let want = dense[rows.clone()].iter().flat_map(|row| &row[start..end]);
            let got = to.iter().map(|number| number.to_bits());
            assert!(
                want.copied().eq(got),
                "{rows:?} {start}..{end} of {packed:?}"
            );
        }
    }
}

/// Check that rows beside the matrix, one to four, are multiplied with the dense one. Its blocks have a kernel for them.
pub(super) fn assert_few_rows_are_products(packed: &dyn Packed) {
    let (n, k) = packed.dims();
    let dense = packed.dense().unwrap().to_vec2::<f32>().unwrap();
    let blocks = packed.on_host().unwrap();
    for count in 1..=4 {
        let number = |row: usize, i: usize| ((i * 7 + row * 3) % 11) as f32 - 5.0;
        let x = (0..count).map(|row| (0..k).map(|i| number(row, i)).collect());
        let x: Vec<Vec<f32>> = x.collect();
        let some = n / 3..n;
        let mut got = vec![f32::NAN; count * some.len()];
        let few = blocks.few_rows(&x);
        let few = few.unwrap_or_else(|| panic!("no kernel for {packed:?}"));
        few.products(some.clone(), &mut got);
        for (x, got) in x.iter().zip(got.chunks(some.len())) {
            for (row, got) in dense[some.clone()].iter().zip(got) {
                let products = row.iter().zip(x).map(|(w, x)| f64::from(w * x));
                let (want, most) =
                    products.fold((0.0, 0.0), |(sum, most), p| (sum + p, most + p.abs()));
                let difference = (f64::from(*got) - want).abs();
                assert!(difference < 1e-6 * most, "{}: {got} {want}", packed.kind());
            }
        }
    }
}

/// Check that two matrices of float32 are equal to the bit.
pub(super) fn assert_same(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let (got, want) = (bits(got), bits(want));
    let differs = got
        .concat()
        .iter()
        .zip(&want.concat())
        .position(|(a, b)| a != b);
    assert_eq!(differs, None, "{what}: the first number that differs");
}

fn bits(matrix: &Tensor) -> Vec<Vec<u32>> {
    let rows = matrix.to_vec2::<f32>().unwrap().into_iter();
    rows.map(|row| row.into_iter().map(f32::to_bits).collect())
        .collect()
}
