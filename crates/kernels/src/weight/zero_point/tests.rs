//! Against `tests/golden/zero_point.safetensors`, which AutoGPTQ, AutoAWQ and compressed-tensors packed
//! (`scripts/golden/make_zero_points.py`).

use super::{Layout, Packed, Parts, Sizes, ZeroPoint};
use crate::weight::testing::{
    assert_blocks_are_dense, assert_few_rows_are_products, assert_same, golden,
};
use candle_core::{DType, Tensor};

/// Name, layout, bits, group and columns.
type Case = (&'static str, Layout, usize, usize, usize);

const CASES: [Case; 13] = [
    ("gptq.2", Layout::Gptq, 2, 64, 64),
    ("gptq.3", Layout::Gptq, 3, 64, 64),
    ("gptq.4", Layout::Gptq, 4, 32, 64),
    ("gptq.8", Layout::Gptq, 8, 32, 64),
    ("gptq.4.whole", Layout::Gptq, 4, 256, 256),
    ("gptq.4.columns", Layout::Gptq, 4, 32, 64),
    ("gptq.3.columns", Layout::Gptq, 3, 32, 64),
    ("gptq_v2.4", Layout::GptqV2, 4, 64, 64),
    ("awq.4", Layout::Awq, 4, 64, 64),
    ("compressed-tensors.4", Layout::CompressedTensors, 4, 32, 64),
    ("compressed-tensors.8", Layout::CompressedTensors, 8, 64, 64),
    (
        "compressed-tensors.4.zeros",
        Layout::CompressedTensors,
        4,
        64,
        64,
    ),
    (
        "compressed-tensors.4.columns",
        Layout::CompressedTensors,
        4,
        32,
        64,
    ),
];

fn case(name: &str) -> (Layout, Sizes, Parts) {
    let (_, layout, bits, group, k) = CASES.into_iter().find(|case| case.0 == name).unwrap();
    let tensors = golden("zero_point.safetensors");
    let tensor = |part: &str| tensors.get(&format!("{name}.{part}")).cloned();
    let sizes = Sizes {
        dims: (32, k),
        bits,
        group,
    };
    let parts = Parts {
        words: tensor("words").unwrap(),
        zeros: tensor("zeros"),
        scales: tensor("scales").unwrap(),
        groups: tensor("groups"),
    };
    (layout, sizes, parts)
}

fn packed(name: &str) -> ZeroPoint {
    let (layout, sizes, parts) = case(name);
    ZeroPoint::new(layout, sizes, &parts).unwrap()
}

#[test]
fn what_the_tools_packed_is_dense_as_they_say_to_the_bit() {
    let tensors = golden("zero_point.safetensors");
    for (name, ..) in CASES {
        let packed = packed(name);
        // A product with zero has a sign in one of the two forms.
        let dense = |dense: &Tensor| (dense + 0.0).unwrap();
        let want = dense(&tensors[&format!("{name}.dense")]);
        assert_same(&dense(&packed.dense().unwrap()), &want, name);
        assert_blocks_are_dense(&packed);
    }
}

#[test]
fn a_few_rows_are_multiplied_in_the_order_of_the_columns() {
    for name in ["gptq.2", "gptq.4", "gptq.4.columns", "awq.4"] {
        assert_few_rows_are_products(&packed(name));
    }
}

#[test]
fn kinds_tell_the_tool_and_the_order() {
    let kinds = ["gptq.4", "gptq.4.columns", "awq.4", "compressed-tensors.8"];
    let kinds = kinds.map(|name| packed(name).kind());
    let want = [
        "gptq, 4 bits in groups of 32",
        "gptq, 4 bits in groups of 32, columns by activation",
        "awq, 4 bits in groups of 64",
        "compressed-tensors, 8 bits in groups of 64",
    ];
    assert_eq!(kinds, want);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let refused = |name: &str, change: &dyn Fn(&mut Sizes, &mut Parts)| {
        let (layout, mut sizes, mut parts) = case(name);
        change(&mut sizes, &mut parts);
        let packed = ZeroPoint::new(layout, sizes, &parts);
        packed.unwrap_err().to_string()
    };
    assert_eq!(
        refused("awq.4", &|sizes, _| sizes.bits = 8),
        "zero_point: bits must be one of [4], got 8"
    );
    assert!(refused("gptq.4", &|sizes, _| sizes.bits = 64).contains("one of [2, 3, 4, 8], got 64"));
    for group in [0, 48, 128, usize::MAX] {
        let message = refused("gptq.4", &|sizes, _| sizes.group = group);
        assert!(message.contains("must be one of whole groups"), "{message}");
    }
    let small = refused("gptq.4", &|sizes, _| sizes.group = 16);
    assert!(
        small.contains("group must be a multiple of 32, got 16"),
        "{small}"
    );
    assert!(
        refused("gptq.4", &|sizes, _| sizes.dims.0 = 33).contains("weight must have shape (264)")
    );
    assert!(
        refused("awq.4", &|sizes, _| sizes.dims = (36, 64)).contains("a multiple of 8, got 36")
    );
    let none = |_: &mut Sizes, parts: &mut Parts| {
        parts.scales = parts.scales.narrow(0, 0, 1).unwrap();
    };
    assert!(refused("gptq.4", &none).contains("scales must have shape (2, 32), got [1, 32]"));
    let wide = |_: &mut Sizes, parts: &mut Parts| {
        parts.words = parts.words.to_dtype(DType::I64).unwrap();
    };
    assert!(refused("gptq.4", &wide).contains("I64"));
    let order = |change: fn(&mut Vec<u32>)| {
        refused("gptq.4.columns", &|_, parts| {
            let mut groups = parts.groups.as_ref().unwrap().to_vec1::<u32>().unwrap();
            change(&mut groups);
            parts.groups = Some(Tensor::new(&groups[..], parts.words.device()).unwrap());
        })
    };
    assert!(order(|groups| groups[5] = u32::MAX).contains("g_idx must be below 2, got -1"));
    assert!(
        order(|groups| groups.fill(0))
            .contains("must be 32 times each group, got 64 times group 0")
    );
    assert!(order(|groups| groups.truncate(63)).contains("g_idx must have shape (64)"));
}
