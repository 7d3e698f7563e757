//! Parts that the tests of formats share.

use super::Packed;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// Tensors of a file that the owner of a format wrote, by the scripts in `scripts/golden`.
pub(super) fn golden(file: &str) -> HashMap<String, Tensor> {
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
