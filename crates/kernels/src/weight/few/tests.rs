//! Against products with the dense matrix in float64.

use crate::weight::Weight;
use crate::weight::bnb_4bit::BLOCK;
use crate::weight::packing::{Packing, weight_of};
use crate::weight::testing::assert_few_rows_are_products;
use candle_core::{Device, Tensor};

/// Rows that end inside of a register, and that do not.
const WIDTHS: [usize; 4] = [64, 80, 192, 768];

#[test]
fn a_few_rows_of_every_format_are_products_with_what_it_stands_for() {
    let is_fp8 = |packing: &Packing| matches!(packing, Packing::Fp8 { .. });
    let mut packings = Packing::all();
    packings.retain(|packing| !is_fp8(packing));
    // Of AVX2 four groups in a register of words, two, and one.
    let blocks = [(2, 8), (3, 16), (16, 32), (5, 64), (1, 4096)];
    packings.extend(blocks.map(|block| Packing::Fp8 { block }));
    for packing in packings {
        let row = match packing {
            Packing::Nf4 => BLOCK,
            _ => packing.row(),
        };
        for width in WIDTHS.map(|width| width.next_multiple_of(row)) {
            let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 40.0;
            let numbers = (0..19 * width).map(number).collect::<Vec<f32>>();
            let matrix = Tensor::from_vec(numbers, (19, width), &Device::Cpu).unwrap();
            let Weight::Packed(packed) = weight_of(&matrix, Some(packing)).unwrap() else {
                panic!("not packed");
            };
            assert_few_rows_are_products(packed.as_ref());
        }
    }
}
